"""Numbers of a device: converted when it is built, and refused when they are none."""

from typing import Any

import equinox as eqx
import numpy as np

from qsynapse_jax._checks import as_real, bad_value_message, is_concrete


def real(name: str, **options: Any) -> Any:
    """A field that holds a real scalar and may be swept or differentiated."""
    return eqx.field(converter=lambda value: as_real(value, name), **options)


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
