"""Where a study's files go: the folder of a run, which is complete or absent, whatever ends the process.

A run is written into `OUT.partial`, beside its place, and renamed to `OUT` when all of it is there. Its record is the
last file written, so a partial run that has one is complete and only has to be moved. A lock on a file in it, which
the system lets go when the process ends in any way, keeps a second process out.
"""

import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qsynapse_jax._arrays import hold, read_json, write_json
from qsynapse_jax._provenance import differences, plain
from qsynapse_jax.studies._record import Record, read_record, sha256, write_record
from qsynapse_jax.training import DivergedError

RECORD, WEIGHTS, EPOCHS = "result.json", "weights.npz", "epochs.csv"
_SETTINGS, _LOCK, _CHECKPOINTS, _REPLACED = "run.json", "lock", "checkpoints", "replaced"
# What a run may consist of: only a folder of nothing else is ever replaced.
_OURS = {RECORD, "data.npz", WEIGHTS, EPOCHS, _SETTINGS, _LOCK, _CHECKPOINTS, _REPLACED}
_TRY_ANOTHER = "choose a new name with `--out DIR`, or give `--overwrite`"


class RunFolder:
    """The place of one run, made by `run_folder`.

    Attributes:
        out: where the run will be.
        folder: where its files are written until then.
        checkpoints: folder for what a continued run begins from; it is no part of the run.
        continued: whether an earlier process left something to continue.
        complete: whether the run is there already, asked for with `resume`, and there is nothing to do.
    """

    def __init__(self, out: Path):
        self.out = out
        resolved = out.resolve()
        self.folder = resolved.parent / f"{resolved.name}.partial"
        self.checkpoints = self.folder / _CHECKPOINTS
        self.shown = out.with_name(self.folder.name) if out.name else self.folder
        self.continued = self.complete = self.overwrite = False
        self.handle: int | None = None

    def publish(self, record: Record) -> None:
        """Writes the record, which vouches for every other file of the run, and moves the run to its place."""
        self.clear(temporary_only=True)
        for path in self.folder.iterdir():
            if path.is_file() and path.name not in (_LOCK, _SETTINGS, RECORD):
                record.checksums[path.name] = sha256(path)
        write_record(record, self.folder / RECORD)
        self.move()

    def move(self) -> None:
        """Moves a complete run to its place. Signals wait meanwhile: there is a moment with neither run in place."""
        place = self.out.resolve()
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        with _signals_wait():
            if _is_used(place):
                if not self.overwrite:
                    raise FileExistsError(f"{self.out} was written by something else meanwhile; {_TRY_ANOTHER}.")
                _check_replaceable(place, self.out)
                # Within the partial run, where whoever comes after a kill finds it.
                place.rename(self.folder / _REPLACED)
            self.folder.rename(place)
            self.complete = True
        shutil.rmtree(place / _REPLACED, ignore_errors=True)
        for name in (_SETTINGS, _LOCK):
            (place / name).unlink(missing_ok=True)

    def clear(self, *, temporary_only: bool) -> None:
        """Removes what a killed process left: files that it was about to rename, or all but the lock."""
        for path in self.folder.iterdir():
            if path.name == _LOCK or (temporary_only and not _is_temporary(path)):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


@contextlib.contextmanager
def run_folder(
    out: Path, name: str, config: Any, *, overwrite: bool = False, resume: bool = False
) -> Iterator[RunFolder]:
    """The folder of a run, refused before any work where it cannot be had.

    Args:
        out: where the run will be.
        name: of the study.
        config: its settings; a run is continued with equal ones only.
        overwrite: replace the run in `out`, when the new one is complete, and begin a partial one anew.
        resume: continue a partial run; where there is none, begin one; where it is complete, say so.

    Raises:
        OSError: a folder that is used, is being used, or cannot be written.
        ValueError: a run of another configuration, the differences listed.
    """
    run, settings = RunFolder(out), {"name": name, "config": plain(config)}
    _check_place(run, settings, overwrite=overwrite, resume=resume)
    if run.complete:
        yield run
        return
    _lock(run)
    try:
        _prepare(run, settings, overwrite=overwrite, resume=resume)
        try:
            yield run
        except BaseException as error:
            _leave(run, error)
            raise
    finally:
        if run.handle is not None:
            os.close(run.handle)


def _leave(run: RunFolder, error: BaseException) -> None:
    """After an error of the study, which would come again, nothing is kept; after anything else what was finished."""
    if run.complete:
        error.add_note(f"The run in {run.out} is complete.")
        return
    nothing = not (run.checkpoints.exists() or (run.folder / RECORD).exists())
    may_go_well = not isinstance(error, Exception) or isinstance(error, OSError | RuntimeError | MemoryError)
    if nothing or not may_go_well:
        shutil.rmtree(run.folder, ignore_errors=True)
        situation = "Nothing was written."
    elif isinstance(error, DivergedError):
        # It would diverge again: what is kept is to be looked at.
        situation = f"The last good checkpoint is kept in {run.shown / _CHECKPOINTS}; `--overwrite` begins anew."
    else:
        situation = (
            f"What was finished is kept in {run.shown}: give `--resume` to continue, `--overwrite` to begin anew."
        )
    error.add_note(situation + (f" {run.out} is as it was." if _is_used(run.out) else ""))


def _is_temporary(path: Path) -> bool:
    """Whether a process that was killed may have left this file when it was about to rename it."""
    return path.name.startswith(".") and path.suffix in (".json", ".npz", ".png", ".csv")


def _is_used(folder: Path) -> bool:
    """Whether there is anything in the folder, or it is no folder at all."""
    return folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))


def _check_place(run: RunFolder, settings: dict[str, Any], *, overwrite: bool, resume: bool) -> None:
    out = run.out
    if out.exists() and not out.is_dir():
        raise OSError(
            f"Argument `out` must be a folder that can be written, but {out} is a file; choose another with "
            "`--out DIR`."
        )
    if out.is_mount():
        raise OSError(
            f"Argument `out` must be a folder that can be moved, but {out} is the root of a file system; choose a new "
            f"folder in it, e.g. `--out {out / 'run'}`."
        )
    if not _is_used(out):
        return
    if resume and not run.folder.exists():
        if not (out / RECORD).exists():
            raise FileExistsError(f"{out} holds files of another kind; choose a new name with `--out DIR`.")
        record = read_record(out / RECORD)
        _check_same(settings, {"name": record.name, "config": record.config}, f"the run in {out}")
        run.complete = True
    elif overwrite:
        _check_replaceable(out, out)
    elif not resume:
        left = f" A partial run is in {run.shown}: `--resume` continues it." if run.folder.exists() else ""
        raise FileExistsError(f"{out} is used already; {_TRY_ANOTHER}.{left}")


def _check_replaceable(place: Path, shown: Path) -> None:
    """A wrong `--out` must not cost anyone a folder of other files."""
    paths = [path for path in place.iterdir() if not _is_temporary(path)]
    foreign = sorted(path.name for path in paths if path.name not in _OURS and path.suffix != ".png")
    if foreign or not {RECORD, _SETTINGS} & {path.name for path in paths}:
        why = f"`{foreign[0]}` in it is no file of a run" if foreign else "it holds no run"
        raise FileExistsError(f"{shown} is not replaced, because {why}; choose a new name with `--out DIR`.")


def _prepare(run: RunFolder, settings: dict[str, Any], *, overwrite: bool, resume: bool) -> None:
    """Takes over what an earlier process left, or begins."""
    left = any(path.name != _LOCK and not _is_temporary(path) for path in run.folder.iterdir())
    run.overwrite, replaced = overwrite, run.folder / _REPLACED
    if replaced.exists() and not run.out.exists() and not resume:
        replaced.rename(run.out.resolve())
    if left and not resume and not overwrite:
        raise FileExistsError(
            f"{run.shown} holds a partial run: give `--resume` to continue it, `--overwrite` to begin anew."
        )
    if left and not resume:
        _check_replaceable(run.folder, run.shown)
        run.clear(temporary_only=False)
    elif left:
        found = read_json(run.folder / _SETTINGS)
        _check_same(settings, found, f"the partial run in {run.shown}")
        run.overwrite |= found.get("overwrite") is True
        run.continued = True
        if (run.folder / RECORD).exists():
            read_record(run.folder / RECORD)
            run.move()
            return
    write_json(run.folder / _SETTINGS, settings | {"overwrite": run.overwrite})


def _check_same(settings: Mapping[str, Any], found: Mapping[str, Any], what: str) -> None:
    """Refuses to continue a run of other settings, and says which differ."""

    def kept(content: Mapping[str, Any]) -> dict[str, Any]:
        return {name: part for name, part in content.items() if name != "overwrite"}

    if odd := differences(kept(settings), kept(found)):
        raise ValueError(f"{what[0].upper()}{what[1:]} has other settings: {', '.join(odd)}; {_TRY_ANOTHER}.")


def _lock(run: RunFolder) -> None:
    """Makes the folder, and holds a lock in it for as long as this process lives."""
    # Whoever held it until now may just have moved the folder to its place, with the lock in it.
    while run.handle is None:
        try:
            run.folder.mkdir(parents=True, exist_ok=True)
            run.handle = hold(run.folder / _LOCK)
        except BlockingIOError:
            raise BlockingIOError(
                f"Another process is writing a run for {run.out}; wait for it, or choose a new name with `--out DIR`."
            ) from None
        except OSError as error:
            raise OSError(
                f"Argument `out` must be a folder that can be written, but {run.out} is not ({error.strerror}); "
                "choose another with `--out DIR`."
            ) from None


@contextlib.contextmanager
def _signals_wait() -> Iterator[None]:
    """Lets what would interrupt this process wait until the end of the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    waiting: list[int] = []
    before = {one: signal.signal(one, lambda number, frame: waiting.append(number)) for one in signals}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        for number in waiting[:1]:
            signal.raise_signal(number)


def find_run(folder: Path) -> Record:
    """The record of a complete run, or what is wrong with the folder."""
    path = folder / RECORD
    if not path.is_file():
        run = RunFolder(folder)
        left = f" A partial run is in {run.shown}: `--resume` continues it." if run.folder.exists() else ""
        raise ValueError(f"There is no complete run in {folder}: {path} does not exist.{left}")
    return read_record(path)
