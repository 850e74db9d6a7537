"""What was sent to an array as data, which a laboratory can play on real hardware."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qsynapse_jax._arrays import write_arrays, write_whole
from qsynapse_jax._fields import described
from qsynapse_jax.training.rules._trains import Sent

# In the order in which a presentation is played: signs of the rows and of the columns that are pulsed.
_PHASES = ((1, 1), (1, -1), (-1, 1), (-1, -1))
NONE = -1


@dataclass(frozen=True)
class Pulses:
    """Pulses on lines in the order of time, one entry per pulse; all arrays have one length, 32-bit integers.

    A device receives a full pulse where its row and its column are pulsed at the same time, a half-select where one of
    them is.

    Attributes:
        time: slot of the pulse, counted from the first slot of the step; slots are as long as a pulse.
        array: which array of the kernel.
        group: which matrix of the array, 0 where it has one.
        row: row that is pulsed, -1 where a column is.
        column: column that is pulsed, -1 where a row is.
        sign: 1 where devices potentiate in this slot, -1 where they depress.
        slots: how long the step takes.
    """

    time: np.ndarray
    array: np.ndarray
    group: np.ndarray
    row: np.ndarray
    column: np.ndarray
    sign: np.ndarray
    slots: int

    __repr__ = described

    @classmethod
    def of(cls, sent: Sent, arrays: Any, moved: Any = None) -> "Pulses":
        """The pulses of n presentations, one after another, each in its sign phases.

        Args:
            sent: their trains, all leaves with an axis of presentations first.
            arrays: the array that each went to, shape (n,).
            moved: what one row of another array was pulsed with after each of them: that array, the row, counted
                through all groups, or -1 for none, shape (n,), and signed pulses of its devices, shape (n, columns).
        """
        rows, cols = (_slots(bits) for bits in (sent.rows, sent.cols))
        signs = [np.asarray(sign).reshape(len(rows), -1, sign.shape[-1])[..., None] for sign in sent[2:4]]
        length, entries, start = np.asarray(sent.length), [], 0
        for n, array in enumerate(np.asarray(arrays)):
            phases = [
                _Phase(array, row * col, rows[n] & (signs[0][n] == row), cols[n] & (signs[1][n] == col), int(length[n]))
                for row, col in _PHASES
            ]
            if moved is not None:
                target, row, steps = moved
                phases += _row_by_row(int(target), int(row[n]), np.asarray(steps[n]), rows.shape)
            for phase in phases:
                found = phase.pulses(start)
                entries += found
                start += phase.slots if found else 0
        table = np.concatenate([np.zeros((6, 0), int), *entries], axis=1).astype(np.int32)
        return cls(*table[:, np.argsort(table[0], kind="stable")], slots=start)

    def counts(self, shape: tuple[int, ...]) -> np.ndarray:
        """Full pulses that every device received, positive for potentiation, shape (arrays, *groups, rows, columns)."""
        arrays, *groups, rows, cols = shape
        total = np.zeros((arrays, int(np.prod(groups, dtype=int)), rows, cols), np.int32)
        is_row = self.row != NONE
        for slot in np.unique(self.time):
            now = self.time == slot
            for array, group in np.unique(np.stack([self.array[now], self.group[now]]), axis=1).T:
                here = now & (self.array == array) & (self.group == group)
                place = np.ix_(self.row[here & is_row], self.column[here & ~is_row])
                total[array, group][place] += self.sign[here][0]
        return total.reshape(shape)

    def save(self, path: str | Path) -> None:
        """Writes the pulses as columns, NPZ or CSV by the ending of the path.

        Raises:
            ValueError: another ending.
        """
        path = Path(path)
        columns = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "slots"}
        if path.suffix == ".npz":
            write_arrays(path, columns | {"slots": self.slots})
        elif path.suffix == ".csv":
            table = np.stack(list(columns.values()), axis=1)
            header = ",".join(columns)
            write_whole(path, lambda file: np.savetxt(file, table, "%d", ",", header=header, comments=""))
        else:
            raise ValueError(f"Argument `path` must end in .npz or .csv, but is {str(path)!r}.")


class _Phase(NamedTuple):
    """Pulses of one polarity on one array: bits (groups, lines, slots) of rows and of columns."""

    array: int
    sign: int
    rows: np.ndarray
    cols: np.ndarray
    slots: int

    def pulses(self, start: int) -> list[np.ndarray]:
        """Columns of the table, of rows and of columns; none where nothing could meet."""
        # Groups are arrays of their own, so each leaves out the phases in which nothing could meet.
        played: np.ndarray = np.any(self.rows, (1, 2)) & np.any(self.cols, (1, 2))
        found = []
        for is_column, bits in enumerate((self.rows, self.cols) if played.any() else ()):
            group, line, slot = np.nonzero(bits & played[:, None, None])
            none = np.full_like(line, NONE)
            places = (none, line) if is_column else (line, none)
            array, sign = np.full_like(line, self.array), np.full_like(line, self.sign)
            found.append(np.stack([start + slot, array, group, *places, sign]))
        return found


def _row_by_row(array: int, row: int, steps: np.ndarray, shape: tuple[int, ...]) -> list[_Phase]:
    """One row that is on throughout while its columns have as many pulses as they need, up, then down."""
    _, groups, n_rows, _ = shape
    found = []
    for sign in (1, -1):
        counts = np.maximum(sign * steps, 0)
        slots = int(counts.max(initial=0))
        if row >= 0 and slots:
            group, line = divmod(row, n_rows)
            here = np.eye(groups, dtype=bool)[group][:, None, None]
            rows = here & np.eye(n_rows, dtype=bool)[line][:, None] & np.ones(slots, bool)
            cols = here & (np.arange(slots) < counts[:, None])
            found.append(_Phase(array, sign, rows, cols, slots))
    return found


def _slots(bits: Any) -> np.ndarray:
    """Bits (n, words, *groups, lines) as booleans (n, groups, lines, slots)."""
    words = np.moveaxis(np.asarray(bits), 1, -1)
    spread = (words[..., None] >> np.arange(32, dtype=np.uint32)) & 1
    return spread.astype(bool).reshape(len(words), -1, words.shape[-2], 32 * words.shape[-1])
