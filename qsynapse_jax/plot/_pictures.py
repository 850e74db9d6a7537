"""All pictures of a study."""

from typing import Any


def pictures(result: Any) -> dict[str, Any]:
    """The pictures of a study, those that its command writes beside its table.

    Args:
        result: what a study returned, e.g. the `NetworkResult` of `studies.run_network`.

    Returns:
        Matplotlib figures by name.

    Raises:
        ValueError: anything else.
    """
    from qsynapse_jax.plot._pages import PAGES

    if type(result) not in PAGES:
        known = ", ".join(kind.__name__ for kind in PAGES)
        raise ValueError(
            f"Argument `result` must be one of {known}, but is a {type(result).__name__}; pass what `studies.run_...` "
            "returned. Of a circuit there are `crossbar` and `currents`."
        )
    return PAGES[type(result)](result)
