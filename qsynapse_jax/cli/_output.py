"""What commands print, and the file that one writes."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console


def print_line(console: Console, text: str) -> None:
    """A line as it is: brackets are no markup, numbers have no colors, and it is not cut to the screen."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def print_written(console: Console, paths: Iterable[Path], *, before: str = "") -> None:
    """The files that were written, one per line."""
    print_line(console, f"{before}Written:")
    for path in paths:
        print_line(console, f"  {path}")


def check_output_file(path: Path, *, source: Path, suffix: str | None = None) -> None:
    """Proves, before any work, that a file can be written there and that it is not the one that is being read."""
    if suffix is not None and path.suffix != suffix:
        raise OSError(
            f"Argument `out` must be an {suffix} file, but is {path}; choose e.g. `--out {path.with_suffix(suffix)}`."
        )
    if not path.parent.is_dir():
        raise OSError(
            f"Argument `out` must lie in a folder that exists, but {path.parent} does not; make it first, e.g. "
            f"`mkdir -p {path.parent}`."
        )
    if path.exists() and path.samefile(source):
        raise OSError(f"Argument `out` must not be the input, but is {path}; choose another with `--out FILE`.")
    # Renaming over a device such as /dev/null would destroy it.
    if path.exists() and not path.is_file():
        raise OSError(f"Argument `out` must be a file, but {path} is a folder or a device; choose another name.")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OSError(
            f"Argument `out` must be a file that can be written, but {path} is not ({error.strerror}); "
            "choose another with `--out FILE`."
        ) from None
