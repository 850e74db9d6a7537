"""`--config FILE`: the settings of a command from a file, which options on the command line overrule."""

import difflib
import json
import tomllib
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qsynapse_jax.studies import read_settings

_OPTION = "--config"


def command_and_settings(arguments: Sequence[str], commands: Mapping[str, type]) -> tuple[list[str], Any]:
    """What is left of a command line without `--config FILE`, and the command with the settings of that file.

    Args:
        arguments: of the command line, the name of the command first.
        commands: the class of every command, by its name.

    Returns:
        The other arguments; the command, `None` where no file was named.

    Raises:
        ValueError: a command that does not exist, with the nearest; one that takes no settings; a file that is none.
    """
    name = next((one for one in arguments if not one.startswith("-")), None)
    if name is not None and name not in commands:
        close = difflib.get_close_matches(name, commands, n=1)
        guess = f" Did you mean `qsynapse {close[0]}`?" if close else ""
        raise ValueError(f"There is no command {name!r}; there are {', '.join(commands)}.{guess}")
    rest, path = _taken(arguments)
    if path is None:
        return rest, None
    with_settings = {key: kind for key, kind in commands.items() if _settings_of(kind) is not None}
    if name not in with_settings:
        raise ValueError(f"Option {_OPTION} is for the commands {', '.join(with_settings)}.")
    command = with_settings[name]
    kind: Any = _settings_of(command)
    return rest, command(config=read_settings(kind, _content(path), path))


def _taken(arguments: Sequence[str]) -> tuple[list[str], Path | None]:
    """The arguments without the option, and its file."""
    rest, path, left = [], None, iter(arguments)
    for one in left:
        if one == _OPTION or one.startswith(f"{_OPTION}="):
            value = next(left, None) if one == _OPTION else one.partition("=")[2]
            if not value or path is not None:
                raise ValueError(f"Option {_OPTION} must be given once, with a .toml file or the result.json of a run.")
            path = Path(value)
        else:
            rest.append(one)
    return rest, path


def _settings_of(command: type) -> type | None:
    """The dataclass of a command's settings."""
    return typing.get_type_hints(command).get("config")


def _content(path: Path) -> Any:
    """Settings of a .toml file, or those that the record of a run holds."""
    try:
        text = path.read_text()
        if path.suffix.lower() == ".json":
            return json.loads(text)["config"]
        return tomllib.loads(text)
    except OSError as error:
        raise ValueError(f"Option {_OPTION} must name a file, but {path} cannot be read ({error.strerror}).") from None
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"Option {_OPTION} must name a .toml file of settings or the result.json of a run, but {path} is none "
            f"({error})."
        ) from None
