"""A report says what was found, asks the network for nothing, and works in a browser."""

import re
import shutil
import subprocess

import numpy as np
import pytest

from qsynapse_jax import sweep
from qsynapse_jax.cli import main
from qsynapse_jax.report import write_report
from qsynapse_jax.studies import Record, TextTable, claim, write_record
from tests.sweep.zoo import LINE, QUICK

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A grid with seeds, some of whose points failed."""
    folder = tmp_path_factory.mktemp("swept") / "line"
    sweep.run(sweep.grid(LINE, gain=[1.0, 2.0, 60.0], seed=[0, 1, 2], fixed={"cells": 2}), folder)
    return folder


def texts(page):
    """What a reader sees of the page's own text, without scripts."""
    body = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    return re.sub(r"<[^>]+>", "|", body)


def test_a_sweep_says_what_was_asked_and_found(swept):
    out = write_report(swept)
    page = out.read_text(encoding="utf-8")
    seen = texts(page)
    ds = sweep.open(swept)
    assert out == swept / "report.html"
    assert "9 points of the study line: gain 1 to 60, seed 0 to 2. 6 are computed, 3 failed." in seen
    assert "The gain is beyond 50; give a smaller one." in seen
    mean = ds.total.mean("seed").sel(gain=2.0).item()
    assert f"|{mean:.4g}|" in seen.replace(".0|", "|")
    assert "jaxlib" in seen
    assert page.count('class="plotly-graph-div"') >= 2


def test_nothing_is_asked_of_the_network(swept):
    """No script, style, font or picture has an address; Plotly itself is inside."""
    page = write_report(swept, swept.parent / "elsewhere.html").read_text(encoding="utf-8")
    own = re.sub(r"<script\b.*?</script>", "", page, flags=re.DOTALL)
    assert not re.findall(r"(?:src|href)=\"(?!data:)[^\"]*\"", own)
    assert not re.findall(r"<script[^>]*\bsrc=", page)
    assert "plotly.js v" in page


def test_points_that_are_no_grid(tmp_path):
    plan = sweep.table(QUICK, {"gain": [1.0, 2.0, 3.0], "cells": [2, 2, 2]})
    sweep.run(plan, tmp_path / "points")
    page = texts(write_report(tmp_path / "points").read_text(encoding="utf-8"))
    assert "3 points of the study quick" in page


def test_a_run_says_what_it_claims(tmp_path, capsys):
    figures = [claim("accuracy", "%", [97.0, 98.0], reach=">= 95", paper=97.2), claim("loss", "", [0.1, 0.2])]
    tables = {"accuracy": TextTable("A title & more", ["network", "test"], [["<float>", "97.5 %"]])}
    data = {"history/float/loss": np.array([1.0, 0.5]), "history/circuit/loss": np.array([2.0, 0.7])}
    write_record(
        Record("demo", {"bits": 3}, (0, 1), 61.0, figures, tables=tables, data=data, notes=["Wires of 1 ohm."]),
        tmp_path / "result.json",
    )
    main(["report", str(tmp_path)])
    assert "report.html" in capsys.readouterr().out
    seen = texts((tmp_path / "report.html").read_text(encoding="utf-8"))
    expected = ("97.5 ± 0.71", "&gt;= 95", "A title &amp; more", "&lt;float&gt;", "Wires of 1 ohm.", "loss after every")
    assert not [one for one in expected if one not in seen]


def test_a_folder_without_results_is_refused(tmp_path, capsys):
    with pytest.raises(ValueError, match=r"must hold a sweep .sweep.json. or a run .result.json."):
        write_report(tmp_path)
    with pytest.raises(SystemExit):
        main(["report", str(tmp_path / "none")])
    assert "holds neither" in capsys.readouterr().err


# In the page after it was drawn: how many plots there are, and whether a point answers to the mouse.
_PROBE = """<script>
window.addEventListener('load', () => setTimeout(() => {
  const plots = [...document.querySelectorAll('.plotly-graph-div')];
  Plotly.Fx.hover(plots[0], [{curveNumber: 0, pointNumber: 0}]);
  const label = plots[0].querySelector('.hoverlayer').textContent;
  const drawn = plots.filter(one => one.querySelector('.xtick') && one.querySelector('.point, .hm')).length;
  document.title = `plots ${plots.length} drawn ${drawn} hover ${label}`;
}, 500));
</script></body>"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_a_browser_draws_it_without_an_error(swept, tmp_path):
    page = write_report(swept, tmp_path / "page.html")
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", _PROBE), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=20000"]
    command = [CHROMIUM, *options, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr, done.stderr
    found = re.search(r"<title>plots (\d+) drawn (\d+) hover (.*?)</title>", done.stdout)
    assert found
    plots, drawn, label = found.groups()
    assert int(plots) == int(drawn) >= 2
    assert re.search(r"\d", label)
