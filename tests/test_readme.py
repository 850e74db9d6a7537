"""The README's example runs, its files exist, and its tables say what the committed results say."""

import re
from pathlib import Path

import numpy as np
import pytest

from experiments._record import refresh_tables

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
GENERATED = [ROOT / "README.md", ROOT / "experiments" / "README.md", ROOT / "experiments" / "bench" / "README.md"]
EXAMPLES = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
DOCUMENTS = [*GENERATED, *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.slow
def test_the_example_runs_and_prints_what_it_computes(capsys):
    example = EXAMPLES[0]
    assert sum(bool(line.strip()) for line in example.splitlines()) <= 15
    names: dict = {}
    exec(example, names)
    assert "bit line 0 carries" in capsys.readouterr().out
    np.testing.assert_allclose(names["v_in"] @ names["g_eff"], names["sol"].i_out, rtol=1e-5)
    assert names["sensitivity"].shape == (64, 64)


@pytest.mark.slow
def test_the_second_example_runs_and_means_what_it_says():
    names: dict = {}
    exec(EXAMPLES[0], names)
    exec(EXAMPLES[1], names)
    ratio = names["nonlinear"].i_out / names["sol"].i_out
    assert np.all((ratio > 1) & (ratio < np.sinh(0.6) / 0.6))  # 0.2 V across cells of k = 3 / V, less the drop
    # One word line on of 64: the others leak through 1 Gohm, or from line to line.
    assert np.all(names["selected"].i_out < names["sneak_paths"].i_out + 1e-6)
    i_in = np.asarray(names["sneak_paths"].i_in)
    assert np.all(np.abs(np.delete(i_in, 3)) < 1e-5 * i_in[3])  # floating lines pass nothing
    assert 0.9 < names["half_selected"].v_cell[3, 5] < 1.0
    assert np.sum(names["tapered"].i_out) < np.sum(names["sol"].i_out)
    g, bits = np.asarray(names["g"]), np.asarray(names["bits"], np.float32)
    assert np.all(names["gated"].i_out < 0.2 * bits @ g)
    for pairs, ideal in (("paired", names["v_in"] @ (g - g.T)), ("both", 0.2 * bits @ (g - g.T))):
        off = np.abs(names[pairs].i_out - ideal)
        assert 0 < off.max() < 0.5 * np.abs(ideal).max()


@pytest.mark.slow
def test_the_example_of_a_network_trains_is_written_and_ages(capsys):
    names: dict = {}
    exec("import jax\nimport jax.numpy as jnp\nimport qsynapse_jax as qs", names)
    exec(EXAMPLES[2], names)
    shares = [float(share) for share in re.findall(r"\d\.\d+", capsys.readouterr().out)]
    assert len(shares) == 3
    assert min(shares) > 0.7  # one epoch; guessing is right in a tenth
    assert set(names["qs"].nn.crossbar_layers(names["model"])) == {"conv"}


@pytest.mark.slow
def test_the_examples_of_co_design_and_of_writing():
    names: dict = {}
    exec("import jax\nimport jax.numpy as jnp\nimport qsynapse_jax as qs", names)
    exec(EXAMPLES[3], names)
    said = [1e3 * float(number) for number in re.findall(r"formula gives (\S+) and (\S+) kohm", EXAMPLES[3])[0]]
    np.testing.assert_allclose(names["found"], said, rtol=1e-3)
    exec(EXAMPLES[4], names)
    assert names["weights"].shape == (64, 32)
    assert np.all(np.asarray(names["trace"].success).mean() > 0.99)


@pytest.mark.slow
def test_the_example_of_arrays_that_learn_in_place(capsys):
    names: dict = {}
    exec("import jax\nimport jax.numpy as jnp\nimport qsynapse_jax as qs", names)
    exec(EXAMPLES[5], names)
    shares = dict(re.findall(r"(\w+) (\d\.\d+)", capsys.readouterr().out))
    assert float(shares["AnalogSGD"]) < 0.75
    assert float(shares["AGAD"]) > 0.9


@pytest.mark.slow
def test_the_example_of_a_sweep(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec("import qsynapse_jax as qs", names)
    exec(next(example for example in EXAMPLES if "sweep.grid" in example), names)
    bits = names["ds"].bits.mean("seed").values
    assert "lines: 2, r_wire: 8" in capsys.readouterr().out
    assert np.all(np.diff(bits, axis=1) < 0)  # more wire, less resolution
    assert np.all(np.diff(bits, axis=0) < 0)
    assert names["qs"].sweep.open("runs/wires").identical(names["ds"])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_to_files_resolve(document):
    targets = re.findall(r"\]\(([^)#]+)\)", document.read_text())
    missing = [t for t in targets if not t.startswith("http") and not (document.parent / t).exists()]
    assert not missing


@pytest.mark.parametrize("document", GENERATED, ids=lambda path: str(path.relative_to(ROOT)))
def test_tables_are_those_of_the_results(document):
    assert document.read_text() == refresh_tables(document), "run `python -m experiments tables`"
