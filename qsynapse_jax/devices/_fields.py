"""Numbers of a device, checked when it is built."""

from typing import Any

import numpy as np

from qsynapse_jax._checks import bad_value_message, is_concrete


def check_numbers(device: Any, rules: dict[str, tuple[str, str]]) -> None:
    """Raises a `ValueError` for the first field that breaks its rule.

    Args:
        device: whose fields are checked, where their values are known.
        rules: by name of the field: "positive", "non-negative" or "probability", and the unit.
    """
    for name, (rule, unit) in rules.items():
        value = getattr(device, name)
        if not is_concrete(value):
            continue
        if rule == "probability":
            if not 0 <= float(value) <= 1:
                raise ValueError(f"Argument `{name}` must be a probability from 0 to 1, but is {float(value):g}.")
            continue
        message = bad_value_message(np.asarray(value), name, unit=unit, minimum=rule)
        if message is not None:
            raise ValueError(message)
