"""The pages do what they say: their code runs, their commands exist, what docs/extending.md adds passes its tests."""

import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import qsynapse_jax as qs
from experiments.__main__ import EXPERIMENTS
from qsynapse_jax.cli import main
from tests.cells import test_contract as cell_tests
from tests.cells import zoo as cells
from tests.crossbar import test_contract as solver_tests
from tests.crossbar import zoo as solvers
from tests.devices import test_contract as device_tests
from tests.devices import zoo as devices
from tests.nn import test_contract as layer_tests
from tests.nn import zoo as layers
from tests.programming import test_contract as scheme_tests

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
# What a page holds, by its name; `extending.md` has tests of its own.
PAGES = {path.relative_to(DOCS).as_posix(): path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}
COMMANDS = {"README.md": (ROOT / "README.md").read_text(encoding="utf-8"), **PAGES}
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


def python_of(page: str) -> str:
    """All Python of a page, as it is read: one block after another."""
    return "\n".join(source for _, source in blocks(PAGES[page]))


# These have tests of their own: here, in tests/sweep/test_page.py, and in the example of the README.
ELSEWHERE = {"extending.md", "sweeps.md", "summary.md"}
WITH_PYTHON = [page for page in PAGES if page not in ELSEWHERE and python_of(page)]


class Run:
    """The Python of a page, run in an empty folder: the names that it defines, and what it prints."""

    def __init__(self, page: str, capsys: pytest.CaptureFixture[str]):
        self.names: dict[str, Any] = {}
        exec(compile(python_of(page), f"docs/{page}", "exec"), self.names)
        self.printed = capsys.readouterr().out

    def numbers(self) -> list[float]:
        return [float(number) for number in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", self.printed)]


def check_circuits(run: Run) -> None:
    names, of = run.names, lambda name: np.asarray(run.names[name].i_out)
    ideal = names["v_in"] @ names["g"]
    sol = np.asarray(qs.crossbar.solve(names["g"], names["v_in"], names["wires"]).i_out)
    ratio = of("nonlinear") / sol
    assert np.all((ratio > 1) & (ratio < np.sinh(0.6) / 0.6))  # 0.2 V across cells of k = 3 / V, less the drop
    # One word line on of 64: the others leak through 1 Gohm, or from line to line.
    assert np.all(of("selected") < of("sneak_paths") + 1e-6)
    i_in = np.asarray(names["sneak_paths"].i_in)
    assert np.all(np.abs(np.delete(i_in, 3)) < 1e-5 * i_in[3])  # floating lines pass nothing
    assert 0.9 < names["half_selected"].v_cell[3, 5] < 1.0
    assert of("tapered").sum() < sol.sum() < ideal.sum()
    g, bits = np.asarray(names["g"]), np.asarray(names["bits"], np.float32)
    assert np.all(of("gated") < 0.2 * bits @ g)
    for pairs, product in (("paired", names["v_in"] @ (g - g.T)), ("both", 0.2 * bits @ (g - g.T))):
        off = np.abs(of(pairs) - product)
        assert 0 < off.max() < 0.5 * np.abs(product).max()


class SummaryWriter:
    """In the place of that of tensorboardX, which is no dependency: notes what it is told."""

    def __init__(self, folder: str):
        self.told: list[tuple[str, float, int]] = []

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.told.append((name, value, step))

    def flush(self) -> None:
        pass


def check_own_network(run: Run) -> None:
    shares = run.numbers()
    assert len(shares) == 3
    assert min(shares) > 0.7  # one epoch; guessing is right in a tenth
    assert set(qs.nn.crossbar_layers(run.names["model"])) == {"conv"}
    made = [run.names[name]((8, 8, 1), 10, run.names["nnx"].Rngs(0)) for name in ("cnn", "pretrained")]
    assert all(isinstance(model, run.names["CNN"]) for model in made)
    assert set(qs.nn.crossbar_layers(run.names["deployed"])) == {"conv", "out"}
    table = np.genfromtxt("epochs.csv", delimiter=",", names=True)
    assert table["epoch"].tolist() == [1, 2]
    (writer,) = run.names["board"].__defaults__
    told = {name: [value for one, value, _ in writer.told if one == name] for name in ("loss", "accuracy")}
    assert all(told[name] == table[name].tolist() for name in told)


def check_codesign(run: Run) -> None:
    said = re.findall(r"formula gives (\S+) and (\S+) kohm", python_of("how-to/codesign.md"))[0]
    np.testing.assert_allclose(run.names["found"], [1e3 * float(number) for number in said], rtol=1e-3)


def check_programming(run: Run) -> None:
    assert run.names["weights"].shape == (64, 32)
    assert np.asarray(run.names["trace"].success).mean() > 0.99


def check_in_place(run: Run) -> None:
    shares = dict(re.findall(r"(AnalogSGD|AGAD) (\d\.\d+)", run.printed))
    assert float(shares["AnalogSGD"]) < 0.75
    assert float(shares["AGAD"]) > 0.9
    said = float(re.findall(r"# (\S+) uS", python_of("how-to/in-place.md"))[-1])
    assert abs(1e6 * run.numbers()[-1] - said) < 0.01


def check_start(run: Run) -> None:
    own, others = run.numbers()[-2:]
    assert 0.1 < own < 0.2
    assert -0.01 < others < 0  # a cell takes from the lines of the others
    picture_is_drawn("start_voltages.png")


def check_formulation(run: Run) -> None:
    rounding, wires = run.numbers()[-2:]
    assert rounding < 1 / 14 + 0.01  # half a step of 15 levels, and their unevenness
    assert wires > 5 * rounding
    picture_is_drawn("formulation_weights.png")


def check_exact(run: Run) -> None:
    assert run.numbers()[-1] < 1e-4


def check_own_map(run: Run) -> None:
    lost, times = run.numbers()[-2:]
    assert 10 < lost < 30  # % of the current
    assert 1 < times < np.sinh(0.8) / 0.8  # cells of k = 4 / V at 0.2 V and less


def check_choose_cell(run: Run) -> None:
    inl = {(int(b), int(r)): float(x) for b, r, x in re.findall(r"(\d) bits, on/off (\d+): INL (\S+)", run.printed)}
    # Below half a step where the on/off ratio exceeds 4^bits.
    assert all(x < 0.5 for (bits, ratio), x in inl.items() if ratio > 4**bits)
    assert inl[4, 50] > 0.5
    lost = {(int(n), int(r)): float(x) for n, r, x in re.findall(r"(\d+) lines of (\d+) kohm.*: (\S+) %", run.printed)}
    assert lost[32, 80] < lost[32, 8] < lost[128, 8]


def check_choose_solver(run: Run) -> None:
    plain, modal = map(int, re.findall(r"took (\d+) steps", run.printed))
    assert modal < plain


def picture_is_drawn(name: str) -> None:
    """What the page saves is a picture, and the one of the site is there."""
    assert Path(name).stat().st_size > 10_000
    assert (DOCS / "images" / name).exists()


CHECKS = {
    "start.md": check_start,
    "concepts/formulation.md": check_formulation,
    "concepts/exact.md": check_exact,
    "how-to/circuits.md": check_circuits,
    "how-to/own-map.md": check_own_map,
    "how-to/choose-cell.md": check_choose_cell,
    "how-to/choose-solver.md": check_choose_solver,
    "how-to/own-network.md": check_own_network,
    "how-to/codesign.md": check_codesign,
    "how-to/programming.md": check_programming,
    "how-to/in-place.md": check_in_place,
}
# Settings of JAX that hold from its start, so a process each.
APART = {"numerics.md", "trust.md"}


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in WITH_PYTHON if page not in APART])
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    board = types.ModuleType("tensorboardX")
    vars(board)["SummaryWriter"] = SummaryWriter
    monkeypatch.setitem(sys.modules, "tensorboardX", board)
    CHECKS.get(page, lambda run: None)(Run(page, capsys))


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted(APART))
def test_the_python_of_a_page_runs_in_processes_of_its_own(page, tmp_path):
    for _, source in blocks(PAGES[page]):
        once = source.replace("range(20)", "range(1)")  # times are not looked at here
        result = subprocess.run([sys.executable, "-c", once], cwd=tmp_path, env=environment(), capture_output=True)
        assert result.returncode == 0, result.stderr.decode()


def environment() -> dict[str, str]:
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "MPLBACKEND": "Agg"}


def shell_blocks(text: str) -> list[tuple[str, str]]:
    """Every piece of shell of a page, with the reason why the tests do not run it, if the page gives one."""
    return re.findall(r"(?:<!-- not run: (.*?) -->\n)?```sh\n(.*?)```", text, re.DOTALL)


def commands_of(text: str) -> list[list[str]]:
    """The arguments of every `qsynapse` in the shell blocks of a page."""
    lines = [line for _, block in shell_blocks(text) for line in block.replace("\\\n", " ").splitlines()]
    found = [re.match(r"(?:\w+=\S* )?\.venv/bin/qsynapse (.*)", line) for line in lines]
    return [shlex.split(match[1], comments=True) for match in found if match]


class UnderstoodError(Exception):
    """The command line has been read without an error."""


@pytest.mark.parametrize("page", [page for page, text in COMMANDS.items() if commands_of(text)])
def test_the_commands_of_a_page_are_understood(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    curves = "".join(f"{n},{1e-6 + n * 1e-7},{3e-6 - n * 1e-7}\n" for n in range(21))
    np.save("mine.npy", np.full((4, 4), 1e-3))
    for name in ("plan.toml", "my_map.csv", "my_levels.csv"):
        Path(name).write_text("1,2\n", encoding="utf-8")
    Path("my_pulses.csv").write_text(f"pulse,g_up,g_down\n{curves}", encoding="utf-8")

    def stop(*_: Any) -> None:
        raise UnderstoodError

    monkeypatch.setattr("qsynapse_jax.cli._main.kept_programs", stop)  # what comes after the arguments are read
    for arguments in commands_of(COMMANDS[page]):
        if arguments == ["--version"] or "--help" in arguments:
            continue
        with pytest.raises(UnderstoodError):
            main(arguments)


def test_experiments_and_test_files_of_the_pages_exist():
    for text in COMMANDS.values():
        for name in re.findall(r"-m\s+experiments (\w+)", text):
            assert name in {*EXPERIMENTS, "all", "tables"}
        for path in re.findall(r"\btests/\S+?\.py", text):
            assert (ROOT / path).exists() or path in PAGE


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p, text in PAGES.items() if any(not why for why, _ in shell_blocks(text))])
def test_the_shell_of_a_page_runs(page, tmp_path):
    folder = str(Path(sys.executable).parent)
    for why, block in shell_blocks(PAGES[page]):
        if why:
            continue
        block = block.replace(".venv/bin", shlex.quote(folder))
        if shutil.which("ngspice") is None:
            block = re.sub(r"^ngspice .*$", "", block, flags=re.MULTILINE)
        result = subprocess.run(["sh", "-ec", block], cwd=tmp_path, env=environment(), capture_output=True)
        assert result.returncode == 0, result.stderr.decode()


def test_wires_of_technology_nodes_are_those_of_the_code():
    table = re.findall(r"^\| `(\d+nm)`.*? \| (\S+), (\S+) \| (\S+) \|$", PAGES["how-to/own-map.md"], re.MULTILINE)
    assert len(table) >= 5
    for node, *said in table:
        transistor, none = qs.crossbar.wires_at_node(node), qs.crossbar.wires_at_node(node, "crossbar")
        np.testing.assert_allclose(
            [float(r) for r in said], [transistor.r_word, transistor.r_bit, none.r_word], rtol=1e-6
        )
