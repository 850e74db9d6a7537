"""What an experiment prints while it works."""

from qsynapse_jax.studies import Progress


class Lines(Progress):
    """Prints a line per stage and per point worth one."""

    def __init__(self):
        self._name = ""

    def stage(self, name: str, total: int) -> None:
        """A line."""
        self._name = name
        print(f"{name}: {total} steps", flush=True)

    def measured(self, what: str, loss: float | None, metric: str = "") -> None:
        """A line."""
        told = "" if loss is None else f"loss {loss:.3f}"
        print(", ".join(filter(None, [f"{self._name}: {what}", told, metric])), flush=True)
