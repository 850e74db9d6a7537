"""The notebooks run, their committed outputs are complete and clean, and they use public names only."""

import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

import qsynapse_jax as qs

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

# Any name behind a dot that begins with one underscore, because objects of ours have private parts too, and such names
# in `from qsynapse_jax... import`. Dunders such as `qs.__version__` are public.
PRIVATE = re.compile(
    r"""\._(?!_)\w+                                        # x._name, qs.cells._ladder, import qsynapse_jax._types
    |   \bfrom\s+qsynapse_jax[\w.]*\s+import\b[^\n]*?\b_(?!_)\w+   # from qsynapse_jax.cells import _ladder
    """,
    re.VERBOSE,
)
# Names of ours as they are written, in code and in prose: `qs.crossbar.solve`.
NAMED = re.compile(r"\bqs((?:\.[A-Za-z]\w*)+)")
LINK = re.compile(r"\]\(([^)\s:#]+\.ipynb)\)")
MACHINE_PATH = re.compile(r"(?:/home/|/root/|/tmp/|/Users/|/site-packages/|[A-Za-z]:\\Users)")


def name_of(path):
    return path.name


def private_names(source):
    return [match.group() for match in PRIVATE.finditer(source)]


def code_cells(notebook):
    return [(number, cell) for number, cell in enumerate(notebook.cells) if cell.cell_type == "code"]


def kinds(cell):
    """What a cell shows, as a set: how many pieces printed text comes in is a matter of timing."""
    return {output.output_type if output.output_type != "stream" else output.name for output in cell.outputs}


def text_of(output):
    if output.output_type == "stream":
        return output.text
    return "\n".join(text for kind, text in output.get("data", {}).items() if kind.startswith("text/"))


def executed(notebook, folder):
    """The notebook as it comes out of a fresh kernel in an empty folder, with the package of this checkout."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    client = NotebookClient(
        nbformat.from_dict(notebook),
        kernel_name="python3",
        timeout=600,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    return client.execute(env=environment)


def test_there_are_notebooks():
    assert NOTEBOOKS, f"no notebook found in {ROOT / 'notebooks'}"


@pytest.mark.slow  # a minute each
@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_it_runs_and_its_committed_outputs_are_complete(path, tmp_path):
    content = path.read_bytes()
    committed = nbformat.reads(content.decode(), as_version=4)
    try:
        fresh = executed(nbformat.reads(content.decode(), as_version=4), tmp_path)
    except CellExecutionError as error:
        pytest.fail(f"{path.name}: {error}", pytrace=False)
    assert path.read_bytes() == content, "executing a notebook here must not change the committed file"
    for (number, before), (_, after) in zip(code_cells(committed), code_cells(fresh), strict=True):
        for output in after.outputs:
            warned = output.output_type == "stream" and output.name == "stderr" and "Warning:" in output.text
            assert not warned, f"{path.name}, cell {number} warns: {output.text}"
        missing = kinds(after) - kinds(before) - {"stderr"}
        assert not missing, f"{path.name}, cell {number} shows {missing} which is not committed; run `make notebooks`"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_its_committed_outputs_are_clean(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert any(cell.outputs for _, cell in code_cells(notebook)), "executed by `make notebooks` before it is committed"
    for place, (number, cell) in enumerate(code_cells(notebook), start=1):
        where = f"{path.name}, cell {number}"
        assert cell.execution_count == place, f"{where} was not run in order from a fresh kernel"
        assert not kinds(cell) & {"error", "stderr"}, f"{where} has an error or a warning in its output"
        for output in cell.outputs:
            assert not MACHINE_PATH.search(text_of(output)), f"{where} shows a path of one machine: {text_of(output)}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_it_uses_public_names_only(path):
    for number, cell in code_cells(nbformat.read(path, as_version=4)):
        assert not private_names(cell.source), f"{path.name}, cell {number} uses {private_names(cell.source)}"


def unknown_names(text):
    """Names of ours that do not exist; an attribute of what a call gives is not looked at."""
    unknown = []
    for match in NAMED.finditer(text):
        found = qs
        for part in match.group(1)[1:].split("."):
            found = getattr(found, part, None)
        if found is None:
            unknown.append(match.group())
    return unknown


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_names_of_ours_exist(path):
    for number, cell in enumerate(nbformat.read(path, as_version=4).cells):
        assert not unknown_names(cell.source), f"{path.name}, cell {number} names {unknown_names(cell.source)}"


def test_names_that_do_not_exist_are_found():
    assert unknown_names("`qs.crossbar.solve(g)` and `qs.crossbar.resolve(g)`, qs.Cells") == [
        "qs.crossbar.resolve",
        "qs.Cells",
    ]


def test_they_are_numbered_and_listed_in_the_readme():
    numbers = [path.name.split("_")[0] for path in NOTEBOOKS]
    assert numbers == [f"{number:02d}" for number in range(1, len(NOTEBOOKS) + 1)]
    listed = re.findall(r"^- \[[^]]*\]\(notebooks/([^)]*)\)", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    assert listed == [path.name for path in NOTEBOOKS]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_one_leads_to_the_next(path):
    prose = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown")
    links = LINK.findall(prose)
    broken = [link for link in links if not (path.parent / link).is_file()]
    assert not broken, f"{path.name} leads to {broken}, which is not there"
    after = NOTEBOOKS[NOTEBOOKS.index(path) + 1 :]
    assert not after or after[0].name in links, f"{path.name} does not lead to {after[0].name}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_it_is_small(path):
    assert path.stat().st_size < 800e3, (
        f"{path.name} has {path.stat().st_size / 1e3:.0f} kB; lower the dpi of its pictures"
    )


@pytest.mark.parametrize(
    "source",
    [
        "qs.cells._ladder",
        "qs.cells.Ladder(3)._table()",
        "import qsynapse_jax._types",
        "from qsynapse_jax.cells._ladder import Ladder",
        "from qsynapse_jax.crossbar import solve, _linear",
        "jax._src",
    ],
)
def test_the_search_for_private_names_finds(source):
    assert private_names(source)


@pytest.mark.parametrize(
    "source", ["qs.__version__", "import qsynapse_jax as qs\n_, x = f()", "for _ in range(3): qs.nn"]
)
def test_the_search_for_private_names_lets_pass(source):
    assert not private_names(source)


def test_an_error_in_a_cell_is_reported(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        executed(notebook, tmp_path)


def test_the_kernel_has_the_package_of_this_checkout(tmp_path):
    source = "import sys, qsynapse_jax\nprint(sys.executable)\nprint(qsynapse_jax.__file__)"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    printed = "".join(output.text for output in executed(notebook, tmp_path).cells[0].outputs)
    executable, package = printed.splitlines()
    assert Path(executable).resolve() == Path(sys.executable).resolve()
    assert Path(package) == ROOT / "qsynapse_jax" / "__init__.py"
