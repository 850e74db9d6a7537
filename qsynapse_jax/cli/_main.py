"""The commands of `qsynapse`, and how each of them ends: done, refused in one message, or interrupted."""

import contextlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from functools import reduce
from operator import or_
from typing import Annotated, Any, NoReturn

import tyro
from rich.console import Console

import qsynapse_jax
from qsynapse_jax.cli._cache import kept_programs
from qsynapse_jax.cli._circuit import Solve, Spice
from qsynapse_jax.cli._codesign import Codesign
from qsynapse_jax.cli._insitu import Insitu
from qsynapse_jax.cli._mapped import Network
from qsynapse_jax.cli._network import Demo, Evaluate, Train
from qsynapse_jax.cli._program import Program
from qsynapse_jax.cli._report import Report
from qsynapse_jax.cli._settings import command_and_settings
from qsynapse_jax.cli._sweep import Sweep
from qsynapse_jax.crossbar import ConvergenceError
from qsynapse_jax.training import DivergedError

COMMANDS: dict[str, Any] = {
    "demo": Demo,
    "train": Train,
    "evaluate": Evaluate,
    "insitu": Insitu,
    "program": Program,
    "codesign": Codesign,
    "network": Network,
    "sweep": Sweep,
    "report": Report,
    "solve": Solve,
    "spice": Spice,
}
_COMMAND: Any = reduce(or_, (Annotated[kind, tyro.conf.subcommand(name)] for name, kind in COMMANDS.items()))
_DESCRIPTION = (
    "Resistive-memory crossbars by Kirchhoff's equations: trained networks and single circuits. `qsynapse COMMAND "
    "--config FILE` takes settings from a .toml file, or from the result.json of a run to repeat it; options overrule "
    "them. `qsynapse --version` says which version this is; `qsynapse --tyro-print-completion bash` (or zsh, tcsh) "
    "prints a completion script."
)
# What an error adds for those who catch it in Python.
_FOR_PYTHON = " The last good state"


def main(arguments: list[str] | None = None) -> None:
    """Runs a command; wrong use ends in one message and status 2, without a traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments == ["--version"]:
        print(f"qsynapse {qsynapse_jax.__version__}")
        return
    with _signals() as received:
        try:
            # The set of one's own data has two names.
            arguments = ["--dataset" + one[6:] if one.partition("=")[0] == "--data" else one for one in arguments]
            arguments, default = command_and_settings(arguments, COMMANDS)
            command: Any = tyro.cli(
                _COMMAND,
                args=arguments,
                default=tyro.MISSING_NONPROP if default is None else default,
                prog="qsynapse",
                description=_DESCRIPTION,
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
            )
            with _warnings_in_words(), kept_programs(command.cache, lambda text: _say(text, style=None)):
                command.run(Console())
        except BrokenPipeError:
            _leave_quietly()
        except (Exception, KeyboardInterrupt) as error:
            # A signal that arrives inside a callback of XLA comes out as another error.
            if received or isinstance(error, KeyboardInterrupt):
                _leave(received, error)
            if not isinstance(error, ValueError | OSError | ConvergenceError | DivergedError):
                raise
            _say(f"{str(error).partition(_FOR_PYTHON)[0]}{_notes(error)}")
            sys.exit(2)


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Makes a request to end what Ctrl-C is; gives the signals that were received."""
    received: list[int] = []

    def end(number: int, frame: Any) -> NoReturn:
        received.append(number)
        raise KeyboardInterrupt

    before = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
        # `nohup` makes a process ignore the end of its terminal: that stands.
        handled = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, end) for number in handled}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _warnings_in_words() -> Iterator[None]:
    """Meanwhile a warning to the user is a message, without the line of the source that it comes from."""
    with warnings.catch_warnings():
        before = warnings.showwarning

        def show(message: Any, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, UserWarning):
                _say(str(message), style="yellow")
            else:
                before(message, category, *place, **more)

        warnings.showwarning = show
        yield


def _leave(received: list[int], error: BaseException) -> NoReturn:
    """Says what is on disk and ends at once: while XLA compiles, an orderly end is a segmentation fault."""
    number = received[0] if received else signal.SIGINT
    with contextlib.suppress(OSError):
        _say(f"interrupted.{_notes(error)}")
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(128 + number)


def _leave_quietly() -> NoReturn:
    """Whoever read the output has had enough of it."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(128 + getattr(signal, "SIGPIPE", 13))


def _say(text: str, style: str | None = "red") -> None:
    Console(stderr=True).print(f"qsynapse: {text}", style=style, highlight=False, markup=False, soft_wrap=True)


def _notes(error: BaseException) -> str:
    """What is on disk, as far as it was noted while the error passed."""
    return "".join(f" {note}" for note in getattr(error, "__notes__", ()))
