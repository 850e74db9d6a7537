"""docs/extending.md does what it says: its code runs, and what it adds passes the tests of its kind."""

import inspect
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import qsynapse_jax as qs
from tests.cells import test_contract as cell_tests
from tests.cells import zoo as cells
from tests.crossbar import test_contract as solver_tests
from tests.crossbar import zoo as solvers
from tests.devices import test_contract as device_tests
from tests.devices import zoo as devices
from tests.nn import test_contract as layer_tests
from tests.nn import zoo as layers
from tests.programming import test_contract as scheme_tests

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "extending.md").read_text(encoding="utf-8")


def blocks(text: str) -> list[tuple[str, str]]:
    """Every piece of Python of a page, with the file that its first line says it belongs to, if any."""
    found = re.findall(r"```python\n(?:# ((?:qsynapse_jax|tests)/\S+\.py)(?:, in \w+)?\n)?(.*?)```", text, re.DOTALL)
    return [(file, source) for file, source in found]


class Followed:
    """What the page adds, made as it says: modules, exports, entries of the tests' lists; and its scripts, run."""

    def __init__(self, patch: pytest.MonkeyPatch):
        self.lists: dict[str, list[Any]] = {"cells": [], "devices": [], "programming": [], "nn": [], "crossbar": []}
        self.scripts: list[str] = []
        for file, source in blocks(PAGE):
            name = file.removesuffix(".py").replace("/", ".")
            if name.endswith(".__init__"):
                package = sys.modules[name.removesuffix(".__init__")]
                exports: dict[str, Any] = {}
                exec(source, exports)
                for export in exports.keys() - {"__builtins__"}:
                    patch.setattr(package, export, exports[export], raising=False)
            elif name.startswith("qsynapse_jax."):
                # By another name: the package lists its own classes in what it says of a wrong one.
                module = types.ModuleType(f"docs.{name}")
                exec(compile(source, f"docs/extending.md: {file}", "exec"), vars(module))
                patch.setitem(sys.modules, name, module)
            elif name.startswith("tests."):
                self.lists[name.split(".")[1]].append(eval(source, dict(vars(sys.modules[name]))))
            else:
                self.scripts.append(source)


@pytest.fixture(scope="module")
def followed() -> Iterator[Followed]:
    """The page, followed once; afterwards the package is as it was."""
    with pytest.MonkeyPatch.context() as patch:
        yield Followed(patch)


# One of each kind in the default run, for which not much is compiled.
QUICK = (
    "test_ageing_composes",
    "test_a_weight_is_written_as_the_nearest_level",
    "test_inputs_of_another_size_are_refused",
)


def contracts_of(module: Any, mark: Any) -> list[Any]:
    """Test functions of a module that carry a mark, and take a case and nothing else."""
    tests = [test for name, test in vars(module).items() if name.startswith("test_")]
    marked = [test for test in tests if mark.mark in getattr(test, "pytestmark", [])]
    return [
        pytest.param(test, id=test.__name__, marks=[] if test.__name__ in QUICK else pytest.mark.slow)
        for test in marked
        if list(inspect.signature(test).parameters) == ["case"]
    ]


@pytest.mark.usefixtures("x32")
@pytest.mark.parametrize(
    "test", contracts_of(device_tests, devices.by_device) + contracts_of(device_tests, devices.by_pulsed)
)
def test_the_device_passes_the_tests_of_devices(followed, test):
    (case,) = followed.lists["devices"]
    assert isinstance(case.build(), qs.devices.AbstractPulsed)
    test(case)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "test", contracts_of(cell_tests, cells.by_cell) + contracts_of(cell_tests, cells.by_kind_of_cell)
)
def test_the_cell_passes_the_tests_of_cells(followed, test):
    (case,) = followed.lists["cells"]
    test(case)


@pytest.mark.usefixtures("x32")
@pytest.mark.slow
@pytest.mark.parametrize("case", devices.DEVICES, ids=lambda case: case.name)
def test_the_scheme_writes_what_it_suits_and_refuses_the_rest(followed, case):
    (scheme,) = followed.lists["programming"]
    scheme_tests.test_a_scheme_writes_what_it_suits_and_refuses_the_rest(scheme, case)


@pytest.mark.parametrize("test", contracts_of(layer_tests, layers.by_layer))
def test_the_layer_passes_the_tests_of_layers(followed, test):
    (case,) = followed.lists["nn"]
    test(case)


@pytest.mark.usefixtures("x64")
@pytest.mark.slow
@pytest.mark.parametrize(
    "test", contracts_of(solver_tests, solvers.by_solver) + contracts_of(solver_tests, solvers.quick_by_solver)
)
def test_the_solver_passes_the_tests_of_solvers(followed, test):
    (case,) = followed.lists["crossbar"]
    test(case)


@pytest.mark.slow
def test_the_scripts_run(followed, capsys):
    names: dict[str, Any] = {}
    for script in followed.scripts:
        exec(script, names)
    printed = capsys.readouterr().out
    assert "PhaseChange(g_min=100 nS, g_max=20 uS, dw_min=0.1" in printed
    assert "['layers/0', 'layers/2']" in printed
    # At least three quarters of the devices, in fewer pulses than all that the scheme has.
    share, pulses = map(float, re.findall(r"written (\S+) with (\S+) pulses per device", printed)[0])
    assert share > 0.75
    assert pulses < 100
