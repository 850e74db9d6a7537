"""What the command line says to wrong use."""

import pytest

from qsynapse_jax.cli import main


def refused(capsys, *arguments):
    """One message, status 2, no traceback."""
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("qsynapse: ")
    assert said.count("\n") == 1
    return said
