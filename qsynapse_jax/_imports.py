"""Code of the user's own, by name: "my_nets:cnn" in a module, "./my_nets.py:cnn" in a file."""

import contextlib
import importlib
import importlib.util
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any


@contextlib.contextmanager
def own_object(name: str, argument: str) -> Iterator[Any]:
    """What a user calls "module:name" or "file.py:name".

    Meanwhile modules of the current folder and of the file's can be imported, as in a program that is run there.

    Args:
        name: of the object.
        argument: in which it was given, for messages.

    Raises:
        ValueError: a name without a colon, a module or an object that is not there, with the nearest that is; a module
            that cannot be imported, with what it raised and where.
    """
    place, colon, attribute = name.rpartition(":")
    if not (colon and place and attribute):
        raise ValueError(
            f"Argument `{argument}` must be module:name or file.py:name, e.g. my_nets:cnn, but is {name!r}."
        )
    file = Path(place) if place.endswith(".py") else None
    before = list(sys.path)
    sys.path[:0] = [os.getcwd()] if file is None else [str(file.resolve().parent), os.getcwd()]
    try:
        # Python may have looked into these folders before the file was there.
        importlib.invalidate_caches()
        module = _module(place, argument) if file is None else _module_of(file, argument)
        if not hasattr(module, attribute):
            public = [one for one in vars(module) if not one.startswith("_")]
            raise ValueError(f"Argument `{argument}` must be in {place}, but it has no {_with_near(attribute, public)}")
        yield getattr(module, attribute)
    finally:
        sys.path[:] = before


def raised(error: BaseException) -> str:
    """An error of a user's code in one line: its kind, its first words, and the line of that code it comes from."""
    where = [one for one in traceback.extract_tb(error.__traceback__) if _is_own(one.filename)]
    words = str(error).strip().partition("\n")[0]
    place = f" ({Path(where[-1].filename).name}, line {where[-1].lineno})" if where else ""
    return f"{type(error).__name__}{words and ': ' + words}{place}"


# Python itself, installed packages, and this one.
_NOT_OWN = tuple({*map(sysconfig.get_path, ("stdlib", "purelib", "platlib")), str(Path(__file__).parent)})


def _is_own(filename: str) -> bool:
    return not filename.startswith(("<", *_NOT_OWN))


def _with_near(name: str, among: list[str]) -> str:
    near = get_close_matches(name, among, n=1, cutoff=0.5)
    return f"`{name}`.{f' Did you mean `{near[0]}`?' if near else ''}"


def _module(name: str, argument: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise _unusable(name, argument, error) from None
        beside = [path.stem for path in Path.cwd().glob("*.py")]
        raise ValueError(
            f"Argument `{argument}` must name a module that can be imported from the current folder, {Path.cwd()}, or "
            f"from where Python's packages are, but there is no {_with_near(error.name, beside)}"
        ) from None
    except Exception as error:
        raise _unusable(name, argument, error) from None


def _module_of(file: Path, argument: str) -> ModuleType:
    """The module in a file, which is run anew: it may have changed."""
    if not file.is_file():
        beside = [path.name for path in file.parent.glob("*.py")]
        raise ValueError(
            f"Argument `{argument}` must name a file that exists, but {file.parent.resolve()} has no "
            f"{_with_near(file.name, beside)}"
        )
    # No name that an import could have given, so that it stands in no other module's place.
    spec = importlib.util.spec_from_file_location(str(file.resolve()), file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[spec.name]
        raise _unusable(str(file), argument, error) from None
    return module


def _unusable(place: str, argument: str, error: Exception) -> ValueError:
    return ValueError(
        f"Argument `{argument}` must name a module that can be imported, but {place} raises {raised(error)}."
    )
