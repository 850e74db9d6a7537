"""Columns that are read by patterns: what is decoded, its variance, and what it costs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.unchecked import unchecked

pytestmark = pytest.mark.usefixtures("x64")
P = qs.programming
STEP = 2e-6
G = 50e-6 + STEP * np.random.default_rng(0).integers(0, 2048, (64, 256))


def read(patterns, g=G, noise=STEP, **options):
    return P.verify_reads(jnp.asarray(g), noise, patterns, key=jax.random.key(0), **options)


@pytest.mark.parametrize(
    ("patterns", "repeats", "variance"), [("hadamard", 1, 1 / 64), ("one-hot", 1, 1), ("one-hot", 16, 1 / 16)]
)
def test_variance_of_64_cells_at_the_same_reads(patterns, repeats, variance):
    """Read noise of one level spacing. The variance of 16,384 numbers is known to 1.1 %: 10 % are nine of these."""
    found = read(patterns, repeats=repeats)
    off = (np.asarray(found.g) - G) / STEP
    assert off.var() == pytest.approx(variance, rel=0.1)
    # Alike in all cells of a column: 256 numbers each, to 8.8 %, the worst of 64.
    assert np.abs((off**2).mean(1) / variance - 1).max() < 5 * 0.088
    # Unlike from cell to cell: correlations of two neighbours, 0 to 1/128.
    assert abs(np.corrcoef(off[:-1].ravel(), off[1:].ravel())[0, 1]) < 5 / 128


def test_an_offset_of_all_reads_falls_on_one_cell():
    one, all_at_once = (np.asarray(read(p, noise=0.0, offset=STEP).g) - G for p in ("one-hot", "hadamard"))
    np.testing.assert_allclose(one, np.broadcast_to(one[:1], one.shape), atol=1e-15)
    np.testing.assert_allclose(all_at_once[0], one[0], atol=1e-15)
    assert np.abs(all_at_once[1:]).max() < 1e-15


def test_it_costs_energy_that_every_cell_is_driven_in_every_read():
    """Of a column: 64 reads each way; a cell conducts in one of them or in all."""
    hot, signs = (read(p, repeats=2).trace for p in ("one-hot", "hadamard"))
    assert (np.asarray(hot.reads) == 2).all()
    assert (np.asarray(signs.reads) == 128).all()
    np.testing.assert_allclose(hot.energy, 2 * 0.2**2 * 1e-5 * G, rtol=1e-12)
    np.testing.assert_allclose(signs.energy, 64 * np.asarray(hot.energy), rtol=1e-12)
    np.testing.assert_allclose(signs.time, 128e-5, rtol=1e-12)


@pytest.mark.parametrize("patterns", ["hadamard", "one-hot"])
def test_wires_are_decoded(patterns):
    """Three word lines, read by four patterns; a tenth of the current is lost."""
    wires = qs.crossbar.Wires(r_word=17.0, r_bit=41.0, r_driver=90.0, r_sense=35.0)
    g = G[:3, :3] / 10
    found = read(patterns, g, noise=0.0, wires=wires)
    np.testing.assert_allclose(found.effective, qs.crossbar.effective_conductance(jnp.asarray(g), wires), rtol=1e-9)
    assert (np.asarray(found.effective / g)).min() < 0.9
    np.testing.assert_allclose(found.g, g, rtol=1e-5)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"patterns": "walsh"}, r'`patterns` must be "hadamard" or "one-hot"'),
        ({"g": G[0]}, r"`g` must have shape \(wl, bl\)"),
        ({"g": np.full((2, 2), np.nan)}, "`g` must be non-negative"),
        ({"noise": -1.0}, "`noise` must be non-negative"),
        ({"repeats": 0}, "`repeats` must be an integer of at least 1"),
    ],
)
def test_wrong_input(changed, message):
    with unchecked(), pytest.raises(ValueError, match=f"^Argument {message}"):
        read(**({"patterns": "hadamard"} | changed))
