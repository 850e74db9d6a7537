"""A run as a table for other programs: a line per epoch, on disk as soon as the epoch is over."""

import csv
import io
import time
from pathlib import Path
from typing import Any

from qsynapse_jax._arrays import write_whole
from qsynapse_jax.training._fit import Epoch

_COLUMNS = ("epoch", "loss", "accuracy", "seconds")


class CsvLog:
    """Writes a line per epoch into a .csv file, for `fit(..., on_epoch=CsvLog("run.csv"))`.

    The columns are epoch, loss, accuracy (a share), seconds since the line before, in this process, and what
    `measure` gave, by name. A line is on disk when the call returns. Where a continued run repeats epochs that came
    after its checkpoint, their new lines replace the old ones.

    Args:
        path: of the file; it is made by the first epoch.
        resume: add to the file that an interrupted run left; begin where there is none.
        labels: columns that come first and are the same in all lines of this log, e.g. `network="float"`: several logs,
            one after another, may write into one file.

    Raises:
        ValueError: a file that is there already, without `resume`; one that is no such table; a label or a measured
            value that is called as another column.
        OSError: a file that cannot be written.
    """

    def __init__(self, path: str | Path, *, resume: bool = False, **labels: Any):
        self.path, self._labels = Path(path), {name: str(label) for name, label in labels.items()}
        if self.path.exists() and not resume:
            raise ValueError(
                f"Argument `path` must be a file that is not there yet, but {self.path} is; continue it with "
                "`resume=True`, or give another."
            )
        _check_apart(labels, _COLUMNS)
        # Read here, so that a file of another kind is refused before any training.
        self._columns, _ = self._read()
        self._last, self._began = time.monotonic(), False

    def __call__(self, epoch: Epoch) -> None:
        """Adds the line of an epoch."""
        _check_apart(epoch.measured, (*_COLUMNS, *self._labels))
        now = time.monotonic()
        figures = (epoch.number, epoch.loss, epoch.accuracy, round(now - self._last, 3))
        row = {**self._labels, **dict(zip(_COLUMNS, figures, strict=True)), **epoch.measured}
        if self._began and row.keys() <= set(self._columns):
            with self.path.open("a", encoding="utf-8", newline="") as file:
                file.write(self._line(row))
        else:
            self._rewrite(row, epoch.number)
        self._last, self._began = now, True

    def _rewrite(self, row: dict[str, Any], number: int) -> None:
        """The file with a new line, without lines of this log that it replaces, and with all columns."""
        columns, rows = self._read()
        self._columns = [*columns, *(name for name in row if name not in columns)]
        kept = [one for one in rows if not self._is_own(one) or int(one["epoch"]) < number]
        text = "".join(map(self._line, [dict(zip(self._columns, self._columns, strict=True)), *kept, row]))
        write_whole(self.path, lambda temporary: temporary.write_text(text, encoding="utf-8", newline=""))

    def _is_own(self, row: dict[str, str]) -> bool:
        return all(row.get(name) == label for name, label in self._labels.items())

    def _line(self, row: dict[str, Any]) -> str:
        text = io.StringIO(newline="")
        csv.DictWriter(text, self._columns, restval="", lineterminator="\n").writerow(row)
        return text.getvalue()

    def _read(self) -> tuple[list[str], list[dict[str, str]]]:
        """Columns and lines of the file; a last line that a killed process did not finish is none."""
        if not self.path.exists():
            return [], []
        text = self.path.read_text(encoding="utf-8", errors="replace")
        reader = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
        columns, rows = list(reader.fieldnames or ()), list(reader)
        # What is too much in a line is under None, and what is missing is None.
        whole = all(None not in (*row, *row.values()) and str(row.get("epoch")).isdigit() for row in rows)
        if text and not ({*_COLUMNS, *self._labels} <= set(columns) and whole):
            raise ValueError(
                f"Argument `path` must be a file that such a log wrote, with the columns "
                f"{', '.join((*self._labels, *_COLUMNS))}, but {self.path} is none; give another."
            )
        return columns, rows


def _check_apart(names: Any, taken: tuple[str, ...]) -> None:
    for name in names:
        if name in taken:
            raise ValueError(f"A column of a log must have a name of its own, but {name!r} is one already; rename it.")
