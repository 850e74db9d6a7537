"""What a study tells while it works; the command line shows bars, an experiment prints lines."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Who listens to a study: three calls, in this order, as often as it likes."""

    def stage(self, name: str, total: int) -> None:
        """A stage of `total` steps begins."""

    def step(self, number: int, loss: float | None = None) -> None:
        """Of this stage `number` steps are done; `loss` is what the last one found."""

    def measured(self, what: str, loss: float, metric: str = "") -> None:
        """The stage has come to a point worth a line, e.g. "epoch 3", a loss, "test 97.40 %"."""


class Silent:
    """Nobody listens."""

    def stage(self, name: str, total: int) -> None:
        """Nothing."""

    def step(self, number: int, loss: float | None = None) -> None:
        """Nothing."""

    def measured(self, what: str, loss: float, metric: str = "") -> None:
        """Nothing."""
