"""Bars for whoever waits at a terminal, lines for a log."""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class Bars:
    """Listens to a study, from `with` to its end: a bar per stage, with the last loss and the last metric."""

    def __init__(self, console: Console):
        self._bars = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]:<12} {task.fields[metric]:<12}"),
            TimeElapsedColumn(),
            console=console,
        )
        self._task, self._name = TaskID(0), ""

    def __enter__(self) -> "Bars":
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def stage(self, name: str, total: int) -> None:
        """A new bar."""
        self._name = name
        self._task = self._bars.add_task(name, total=total, loss="compiling", metric="")

    def step(self, number: int, loss: float | None = None) -> None:
        """Moves the bar."""
        self._bars.update(self._task, completed=number, loss="" if loss is None else f"loss {loss:.3f}")

    def measured(self, what: str, loss: float, metric: str = "") -> None:
        """Shows the metric in the bar; where nobody sees bars, prints a line."""
        self._bars.update(self._task, metric=metric)
        if not self._bars.console.is_terminal:
            text = ", ".join(filter(None, [f"{self._name}: {what}", f"loss {loss:.3f}", metric]))
            self._bars.console.print(text, highlight=False, markup=False)
