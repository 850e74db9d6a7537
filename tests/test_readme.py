"""The README's example runs, its files exist, and its tables say what the committed results say."""

import re
from pathlib import Path

import numpy as np
import pytest

from experiments.__main__ import DOCUMENTS
from experiments._record import refresh_tables

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.slow
def test_the_example_runs_and_prints_what_it_computes(capsys):
    example = EXAMPLES[0]
    assert sum(bool(line.strip()) for line in example.splitlines()) <= 15
    names: dict = {}
    exec(example, names)
    assert "bit line 0 carries" in capsys.readouterr().out
    np.testing.assert_allclose(names["v_in"] @ names["g_eff"], names["sol"].i_out, rtol=1e-5)
    assert names["sensitivity"].shape == (64, 64)


@pytest.mark.parametrize("document", sorted({*PAGES, *DOCUMENTS}), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_to_files_resolve(document):
    targets = re.findall(r"\]\(([^)#]+)\)", document.read_text())
    missing = [t for t in targets if not t.startswith("http") and not (document.parent / t).exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_tables_are_those_of_the_results(document):
    assert document.read_text() == refresh_tables(document), "run `python -m experiments tables`"
