"""The documentation site: what its link check finds, and that it builds and shows all public names."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import qsynapse_jax as qs

ROOT = Path(__file__).parents[1]
SITE = ROOT / "docs" / "site"


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"site_{name}", SITE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def site(tmp_path):
    """Two pages that link to each other, a picture and a server's page of errors."""
    (tmp_path / "how").mkdir()
    (tmp_path / "how" / "b.html").write_text("<h1 id='head'>B</h1><a href='../index.html'>back</a>")
    (tmp_path / "picture.png").write_bytes(b"")
    (tmp_path / "404.html").write_text("<a href='/nowhere'>its links begin at a server's root</a>")
    good = "<a href='how/b.html#head'>B</a> <a href='#here'>here</a> <p id='here'><img src='picture.png'></p>"
    (tmp_path / "index.html").write_text(f"{good} <a href='https://doi.org/10.1038/s41586-023-05759-5'>paper</a>")
    return tmp_path


def test_a_good_site_has_no_faults(site):
    assert loaded("links").faults(site) == []


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("<a href='how/c.html'>", "index.html links to how/c.html: there is no such file."),
        ("<a href='how/b.html#tail'>", "index.html links to how/b.html#tail: the page has no such anchor."),
        ("<a href='#there'>", "index.html links to #there: the page has no such anchor."),
        ("<img src='other.png'>", "index.html loads other.png: there is no such file."),
        ("<a href='https://doi'>", "index.html links to https://doi: this is not the form of an address."),
        ("<a href='http//x.org'>", "index.html links to http//x.org: there is no such file."),
        (
            "<script src='https://cdn.example.org/x.js'></script>",
            "loads https://cdn.example.org/x.js from another place",
        ),
        ("<link rel='stylesheet' href='//fonts.example.org/x'>", "loads //fonts.example.org/x from another place"),
    ],
)
def test_the_link_check_finds(site, written, fault):
    with (site / "index.html").open("a") as page:
        page.write(written)
    (found,) = loaded("links").faults(site)
    assert fault in found


@pytest.mark.slow
def test_the_site_builds_and_its_reference_has_every_public_name(tmp_path):
    pytest.importorskip("mkdocs", reason="`make docs` installs what builds the site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    missing = []
    modules = [getattr(qs, name) for name in dir(qs) if not name.startswith("_")]
    packages = [one for one in modules if isinstance(one, ModuleType) and one.__name__.startswith("qsynapse_jax.")]
    assert len(packages) > 10
    for package in packages:
        name = package.__name__.removeprefix("qsynapse_jax.")
        page = (tmp_path / "reference" / f"{name}.html").read_text(encoding="utf-8")
        public = [one for one, value in vars(package).items() if is_public(one, value, package)]
        missing += [f"{name}.{one}" for one in public if f'id="qsynapse_jax.{name}.{one}"' not in page]
    assert not missing
    wires = (tmp_path / "reference" / "crossbar.html").read_text(encoding="utf-8")
    call = re.sub(r"<[^>]+>", "", wires[wires.index('id="qsynapse_jax.crossbar.Wires"') :])[:600]
    assert re.search(r"r_word: .*r_driver: .* = 0\.0", call, re.DOTALL)  # fields are the arguments of the call


def is_public(name: str, value: object, package: ModuleType) -> bool:
    where = getattr(value, "__module__", None) or ""
    return not name.startswith("_") and callable(value) and where.startswith(package.__name__)
