"""Several arrays as one matrix: how fast errors fall, what wires do to that, and what cannot be cancelled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.unchecked import unchecked

pytestmark = pytest.mark.usefixtures("x64")
P = qs.programming
SIGMA = 0.01
TARGET = np.random.default_rng(0).normal(size=(3, 32, 32)) * np.array([1e-3, 1.0, 50.0])[:, None, None]
LEVELS = 2**12


def level_cell(wrap, levels=LEVELS, g_min=10e-6, g_max=90e-6):
    return wrap(qs.cells.Multilevel(levels, g_min, g_max))


def written(target, write, arrays, seed=0, **options):
    return P.residual(jnp.asarray(target), write, arrays, key=jax.random.key(seed), **options)


def noisy(w, *, key):
    """A write that misses by a normal number, whatever the weight."""
    found = w + SIGMA * jax.random.normal(key, w.shape, w.dtype)
    return {"w": found}, found


def test_every_array_takes_the_error_down_by_the_largest_error_of_a_write():
    """Scales are the largest error before; what is left is `SIGMA` times them. Deviations of 1,024 numbers are known to
    2.2 %: 5 of these are chance in fewer than 1 of a million. The largest of 1,024 normal numbers is from 2.7 to 5.7
    but for 1e-4.
    """
    found = written(TARGET, noisy, 5, seed=1)
    left, scales = np.asarray(found.errors), np.asarray(found.scales)
    assert found.states["w"].shape == found.found.shape == (5, 3, 32, 32)
    np.testing.assert_allclose(scales[0], np.abs(TARGET).max((1, 2)), rtol=1e-12)
    np.testing.assert_allclose(scales[1:], np.abs(left[:-1]).max((2, 3)), rtol=1e-12)
    np.testing.assert_allclose(left.std((2, 3)) / scales, SIGMA, rtol=0.11)
    # Errors of one array are not those of the next: 5 standard errors of a correlation.
    unit = (left / left.std((2, 3), keepdims=True)).reshape(5, -1)
    assert np.abs(unit[1:] @ unit[0] / unit.shape[1]).max() < 5 / unit.shape[1] ** 0.5
    factor = scales[1:] / scales[:-1] / SIGMA
    assert (factor > 2.7).all()
    assert (factor < 5.7).all()
    # Five arrays of two digits: seven digits and more.
    assert (np.abs(left[-1]).max((1, 2)) < 1e-6 * scales[0]).all()


def test_the_value_is_the_scaled_sum_of_what_was_found():
    found = written(TARGET, noisy, 4, seed=1)
    total = np.einsum("ks,ksij->sij", found.scales, found.found)
    np.testing.assert_allclose(found.value, total, atol=1e-13 * 50)
    np.testing.assert_allclose(TARGET - found.value, found.errors[-1], atol=1e-13 * 50)
    # So is the sum of fewer arrays.
    np.testing.assert_allclose(
        np.asarray(TARGET)[1] - np.einsum("k,kij->ij", found.scales[:2, 1], found.found[:2, 1]),
        found.errors[1, 1],
        atol=1e-13,
    )


def test_it_is_compiled_once_whatever_the_numbers():
    calls = []

    def counted(w, *, key):
        calls.append(w.shape)
        return noisy(w, key=key)

    for number in range(3):
        written((1.0 + number) * TARGET, counted, 2, seed=number, fill=1.0 - 0.1 * number)
    assert len(calls) == 1


def test_another_unit_changes_the_scales_alone():
    one = written(TARGET, noisy, 3, seed=2)
    other = written(TARGET * 1024.0, noisy, 3, seed=2)
    np.testing.assert_array_equal(one.found, other.found)
    np.testing.assert_array_equal(one.scales * 1024.0, other.scales)


def test_less_of_the_window_has_larger_scales():
    full, part = (written(TARGET, noisy, 3, seed=2, fill=fill) for fill in (1.0, 0.5))
    np.testing.assert_allclose(part.scales[0], 2 * full.scales[0], rtol=1e-12)
    # The error of one array is twice that, of three eight times.
    ratio = np.asarray(part.errors).std((2, 3)) / np.asarray(full.errors).std((2, 3))
    np.testing.assert_allclose(ratio, np.array([2.0, 4.0, 8.0])[:, None] * np.ones(3), rtol=0.35)


def test_where_nothing_is_left_nothing_is_added():
    """What an array holds exactly needs no second one; noise of that counts nothing."""
    exact = written(jnp.zeros((2, 2)), noisy, 2, seed=0)
    np.testing.assert_array_equal(exact.value, 0)
    np.testing.assert_array_equal(exact.scales, 0)


@pytest.mark.parametrize("wrap", [qs.cells.Differential, qs.cells.Referenced])
def test_signed_cells_on_tiles(wrap):
    """Errors of 0.16 uS in one or two devices of a weight, and of rounding, over the span that 1 is."""
    cell = level_cell(wrap)
    noise = qs.devices.ProgrammingNoise(jnp.asarray([0.16e-6]), 1e-6, 10e-6, 90e-6)
    tile = qs.tile.Tile(cell, device=noise, shape=(32, 64))
    found = written(TARGET, tile.write, 3, seed=3)
    sigma = 0.16e-6 * cell.lines**0.5 / float(cell.span())
    rounding = 80e-6 / (LEVELS - 1) / float(cell.span()) / 12**0.5
    expected = (sigma**2 + rounding**2) ** 0.5
    np.testing.assert_allclose(np.asarray(found.errors).std((2, 3)) / found.scales, expected, rtol=0.11)
    # What is read of the hardware later is what was measured.
    again = jax.vmap(tile.matrix)(found.states)
    np.testing.assert_allclose(again, found.found, rtol=1e-12, atol=1e-15)


def behind_wires(how, fill):
    """Largest errors over the largest weight, by array; tile, wires, and what was found."""
    wires = qs.crossbar.Wires(r_word=20.0, r_bit=20.0)
    tile = qs.tile.Tile(level_cell(qs.cells.Differential), wires=wires, shape=(6, 8))
    found = written(TARGET[:2, :6, :4], getattr(tile, how), 3, fill=fill)
    return np.abs(np.asarray(found.errors)).max((2, 3)) / fill / np.asarray(found.scales)[0], tile, wires, found


def test_wires_are_an_error_like_any_other():
    """They take a few percent; each further array makes up for most of it."""
    relative, tile, wires, found = behind_wires("write", 1.0)
    assert (relative[0] > 0.005).all()
    assert (relative[1:] < 0.1 * relative[:-1]).all()
    # Weights are those of the circuit, cell by cell.
    g = tile.crosspoints(jax.tree.map(lambda leaf: leaf[0], found.states))
    effective = qs.crossbar.effective_conductance(g[1], wires)
    np.testing.assert_allclose(found.found[0, 1], (effective[:, 0::2] - effective[:, 1::2]) / 80e-6, atol=1e-9)


@pytest.mark.slow
def test_compensated_arrays_leave_less_of_them():
    """One level is 1/4095."""
    relative, better = (behind_wires(*way)[0] for way in (("write", 1.0), ("write_compensated", 0.8)))
    assert (better[0] < 1e-3).all()
    assert (better[2] < 0.01 * relative[2]).all()


@pytest.mark.slow
def test_fluctuation_of_the_first_array_bounds_all():
    """A filament with traps, by the write engine: the mean is cancelled, a read is no better with three arrays than the
    noise of the first; the second would bring it down if noise could be measured away.
    """
    device = qs.devices.TelegraphFilament()
    cell = level_cell(qs.cells.Differential, 256, 50e-6, 4144e-6)
    tile = qs.tile.Tile(cell, device=device, scheme=P.Denoise(denoising=0, reads=4), shape=(32, 64))
    found = written(TARGET[1], tile.write, 3, seed=4)
    static = np.asarray(found.errors).std((1, 2)) / float(found.scales[0])
    assert static[2] < 1e-3 * static[0]
    read = [
        tile.matrix(jax.tree.map(lambda leaf, k=k: leaf[k], found.states), key=jax.random.key(5 + k)) for k in range(3)
    ]
    seen = np.einsum("k,kij->ij", found.scales, read) - np.asarray(TARGET[1])
    noise = float(jnp.sqrt(jnp.mean(2 * device.fluctuation(found.states.devices)[0] ** 2))) / float(cell.span())
    assert seen.std() / float(found.scales[0]) == pytest.approx(noise, rel=0.3)
    assert seen.std() > 100 * np.asarray(found.errors[2]).std()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"target": np.where(np.arange(3)[:, None, None] == 2, np.nan, TARGET)},
            r"`target` must be finite, but target\[2, 0, 0\] = nan",
        ),
        ({"target": jnp.ones(3)}, r"`target` must have shape \(\*stack, rows, cols\), but has shape \(3,\)"),
        ({"arrays": 0}, "`arrays` must be an integer of at least 1"),
        ({"fill": 0.0}, "`fill` must be positive"),
    ],
)
def test_wrong_input(changed, message):
    given = {"target": TARGET, "write": noisy, "arrays": 2} | changed
    with unchecked(), pytest.raises(ValueError, match=f"^Argument {message}"):
        P.residual(**given, key=jax.random.key(0))
