"""Compiled programs that the command line keeps: where, when not, and what a damaged one does."""

import hashlib
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from qsynapse_jax.cli import main


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The user's cache folder; with JAX as it is where nobody has set anything, here and in what this begins."""
    unset = {"enable_compilation_cache": True, "compilation_cache_dir": None}
    unset["persistent_cache_min_compile_time_secs"] = 1.0
    before = {f"jax_{name}": jax.config.values[f"jax_{name}"] for name in unset}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    for name, value in unset.items():
        monkeypatch.delenv(f"JAX_{name.upper()}", raising=False)
        jax.config.update(f"jax_{name}", value)
    compilation_cache.reset_cache()
    yield tmp_path / "home"
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


@pytest.fixture
def circuit(tmp_path):
    g = np.random.default_rng(0).uniform(1e-6, 1e-4, (3, 2)).astype(np.float32)
    np.savez(tmp_path / "array.npz", g=g, v_in=np.ones(3, np.float32), r_word=np.float32(1), r_bit=np.float32(2))
    return str(tmp_path / "array.npz")


def entries(home):
    return {path.name: path for path in home.rglob("*-cache")}


def solve(capsys, circuit, *arguments):
    """What a command prints in a process that has compiled nothing yet."""
    jax.clear_caches()
    main(["solve", circuit, *arguments])
    return capsys.readouterr()


@pytest.mark.slow  # compilation, most of it
def test_a_second_run_takes_what_the_first_has_compiled(home, circuit, capsys):
    first = solve(capsys, circuit)
    kept = entries(home)
    assert kept
    assert first.err == (
        f"qsynapse: {len(kept)} compiled programs are kept for the next run in {next(iter(kept.values())).parent}; "
        "not with --no-compilation-cache.\n"
    )
    written = {name: path.stat().st_mtime_ns for name, path in kept.items()}
    second = solve(capsys, circuit)
    assert second.out == first.out
    assert second.err == ""
    assert {name: path.stat().st_mtime_ns for name, path in entries(home).items()} == written
    # What JAX does outside of a command is as it was.
    assert jax.config.values["jax_compilation_cache_dir"] is None


@pytest.mark.slow  # compilation, most of it
@pytest.mark.parametrize("damage", ["cut", "another", "no checksum"])
def test_a_damaged_program_is_compiled_anew(damage, home, circuit, capsys):
    """Even one that JAX would run, a whole program in the place of another."""
    first = solve(capsys, circuit)
    kept = list(entries(home).values())
    whole = [path.read_bytes() for path in kept]
    for path, other in zip(kept, [*whole[1:], whole[0]], strict=True):
        if damage == "cut":
            path.write_bytes(path.read_bytes()[:-10])
        elif damage == "another":
            path.write_bytes(other)
        else:
            path.with_name(path.name + ".sha256").unlink()
    again = solve(capsys, circuit)
    assert again.out == first.out
    assert f"{len(kept)} compiled programs are kept" in again.err
    assert again.err.count("\n") == 1
    for path in entries(home).values():
        assert path.with_name(path.name + ".sha256").read_text() == hashlib.sha256(path.read_bytes()).hexdigest()


def test_it_can_be_switched_off(home, circuit, capsys):
    assert solve(capsys, circuit, "--no-compilation-cache").err == ""
    assert not home.exists()
    assert jax.config.values["jax_enable_compilation_cache"]


def test_a_folder_of_ones_own_is_ones_own(home, circuit, tmp_path):
    """The variable of JAX says where, and its other variables what: nothing is swept or added there."""
    own = tmp_path / "own"
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(own),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    program = f"from qsynapse_jax.cli import main; main(['solve', {circuit!r}])"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stderr == ""
    assert entries(own)
    assert not list(own.rglob("*.sha256"))
    assert not home.exists()


def test_a_folder_that_cannot_be_written_is_said_and_done_without(home, circuit, capsys):
    home.write_text("a file where the folder should be")
    printed = solve(capsys, circuit)
    assert printed.err.startswith("qsynapse: compiled programs are not kept: ")
    assert printed.err.count("\n") == 1
    assert "residual" in printed.out


def test_an_error_is_still_one_message(home, circuit, capsys):
    with pytest.raises(SystemExit):
        main(["solve", circuit, "--max-steps", "1"])
    assert capsys.readouterr().err.count("\n") == 1


def test_the_oldest_make_room(home, circuit, capsys, monkeypatch):
    solve(capsys, circuit)
    before = sorted(entries(home).values(), key=lambda path: path.stat().st_mtime)
    sizes = {path.name: path.stat().st_size for path in before}
    most = sum(sizes.values()) - 1
    monkeypatch.setattr("qsynapse_jax.cli._cache._MOST", most)
    # A command that compiles none of them.
    main(["spice", circuit])
    left = entries(home)
    assert before[0].name not in left
    assert before[-1].name in left
    assert 0 < sum(sizes[name] for name in left.keys() & sizes.keys()) <= most
    for name in sizes.keys() - left.keys():
        assert not before[0].with_name(name + ".sha256").exists()


def test_the_library_leaves_the_cache_alone(home):
    program = "import qsynapse_jax.studies, jax; assert jax.config.jax_compilation_cache_dir is None"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
