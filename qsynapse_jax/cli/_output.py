"""What commands print, and the file that one writes."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

# Endings of pictures.
PICTURES = (".png", ".svg", ".pdf")


def print_line(console: Console, text: str) -> None:
    """A line as it is: brackets are no markup, numbers have no colors, and it is not cut to the screen."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def print_written(console: Console, paths: Iterable[Path], *, before: str = "") -> None:
    """The files that were written, one per line."""
    print_line(console, f"{before}Written:")
    for path in paths:
        print_line(console, f"  {path}")


def check_output_file(path: Path, *, source: Path, suffixes: tuple[str, ...] = (), name: str = "out") -> None:
    """Proves, before any work, that a file can be written there and that it is not the one that is being read."""
    if suffixes and path.suffix not in suffixes:
        raise OSError(
            f"Argument `{name}` must end in {' or '.join(suffixes)}, but is {path}; choose e.g. "
            f"`--{name} {path.with_suffix(suffixes[0])}`."
        )
    if not path.parent.is_dir():
        raise OSError(
            f"Argument `{name}` must lie in a folder that exists, but {path.parent} does not; make it first, e.g. "
            f"`mkdir -p {path.parent}`."
        )
    if path.exists() and path.samefile(source):
        raise OSError(f"Argument `{name}` must not be the input, but is {path}; choose another with `--{name} FILE`.")
    # Renaming over a device such as /dev/null would destroy it.
    if path.exists() and not path.is_file():
        raise OSError(f"Argument `{name}` must be a file, but {path} is a folder or a device; choose another name.")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OSError(
            f"Argument `{name}` must be a file that can be written, but {path} is not ({error.strerror}); "
            f"choose another with `--{name} FILE`."
        ) from None
