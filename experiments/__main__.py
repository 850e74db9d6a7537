"""`python -m experiments NAME [--quick]`: runs one experiment; `tables` remakes the tables of the documents."""

import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated

import tyro

from experiments._record import FOLDER, check_folder, refresh_tables

EXPERIMENTS = sorted(path.parent.name for path in FOLDER.glob("*/run.py"))
ROOT = FOLDER.parent
DOCUMENTS = (ROOT / "README.md", FOLDER / "README.md", FOLDER / "bench" / "README.md", ROOT / "docs" / "systems.md")


@dataclass(frozen=True)
class Run:
    """Run an experiment, or remake the tables of the documents from the committed results."""

    name: Annotated[str, tyro.conf.Positional]
    """The experiment, `all` of them, or `tables`."""
    quick: bool = False
    """A minute instead of the full run; its result goes to a scratch folder and proves nothing."""
    out: Path | None = None
    """Folder for result.json; the experiment's own where not given. Of `all`: for a folder each."""


def main() -> None:
    """Command line of the experiments."""
    command = tyro.cli(Run, prog="python -m experiments")
    if command.name == "tables":
        for document in DOCUMENTS:
            document.write_text(refresh_tables(document))
        return
    names = EXPERIMENTS if command.name == "all" else [command.name]
    unknown = set(names) - set(EXPERIMENTS)
    if unknown:
        sys.exit(f"There is no experiment {unknown.pop()!r}; there are {', '.join(EXPERIMENTS)}, all and tables.")
    root = command.out or (Path("runs") / "quick" if command.quick else FOLDER)
    apart = command.out is None or command.name == "all"
    folders = {name: root / name if apart else root for name in names}
    for folder in folders.values():
        check_folder(folder)
    for name, folder in folders.items():
        import_module(f"experiments.{name}.run").main(folder, quick=command.quick)


if __name__ == "__main__":
    main()
