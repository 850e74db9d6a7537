"""What processes of the tests share of compiled programs, and what becomes of those that are too many."""

import itertools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

import qsynapse_jax as qs
from tests import conftest

PROGRAM = "import jax, jax.numpy as jnp; print(jax.jit(lambda x: jnp.sin(x) * 3)(jnp.zeros(4)).sum())"
pytestmark = pytest.mark.skipif(not jax.config.values["jax_enable_compilation_cache"], reason="nothing is shared")


def begun(**changes):
    """What a process that a test begins prints, and says on stderr."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=os.environ | changes, capture_output=True, text=True, check=True
    )
    return done.stdout, done.stderr


def test_half_a_program_is_compiled_anew_without_a_word(tmp_path):
    """As another process may find it that reads while it is written, or after the writer was killed."""
    environment = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    assert begun(**environment) == ("0.0\n", "")
    written = list(tmp_path.glob("*-cache"))
    assert len(written) > 2
    for path, size in zip(written, itertools.cycle([0, 100, -1])):
        path.write_bytes(path.read_bytes()[:size])
    assert begun(**environment) == ("0.0\n", "")
    # It was looked at: JAX says so where nobody keeps it quiet.
    assert "Error reading persistent compilation cache entry" in begun(**environment, PYTHONWARNINGS="")[1]


def test_what_is_killed_on_purpose_writes_nothing(tmp_path):
    assert begun(JAX_COMPILATION_CACHE_DIR=str(tmp_path), **conftest.READS_ONLY) == ("0.0\n", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow  # compilation, most of it
@pytest.mark.skipif(not conftest.MAPS.exists(), reason="memory maps are counted on Linux only")
def test_compiled_programs_that_are_too_many_are_dropped(monkeypatch):
    def maps():
        return conftest.MAPS.read_bytes().count(b"\n")

    jax.clear_caches()
    before = maps()
    for size in range(20, 23):
        qs.crossbar.solve(jnp.full((size, size), 1e-5), jnp.full(size, 0.1), qs.crossbar.Wires(1.0))
    kept = maps()
    assert kept > before + 200
    conftest.make_room()
    assert maps() > before + 200
    monkeypatch.setattr(conftest, "MOST_MAPS", before + 100)
    conftest.make_room()
    assert maps() < before + 0.2 * (kept - before)
