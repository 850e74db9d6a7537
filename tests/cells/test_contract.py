"""What every cell promises, whatever it is made of: the same tests for each."""

from functools import cache
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.cells.zoo import CELLS, Case, by_cell, by_kind_of_cell, by_kind_of_cell_seldom

# Some of these switches are bad on purpose; that they are warned of is tested in test_branches.py.
pytestmark = [
    pytest.mark.usefixtures("x64"),
    pytest.mark.filterwarnings("ignore:A ladder R, 2R, 4R:UserWarning"),
]

ROUNDING = 1e-14  # relative, of a handful of operations in float64
SLOPES_AT = (-1.2, -1.0, -0.7, 0.0, 1e-3, 0.4, 1.0, 1.2)

by_wrapped_cell = pytest.mark.parametrize("case", [CELLS[-2]], ids=lambda case: case.name)
NO_CODE = np.iinfo(np.int32).min


def codes_of(case: Case) -> np.ndarray:
    return np.asarray(case.codes)


def exact_conductance(case: Case) -> np.ndarray:
    """(lines, codes) [S]"""
    return np.array([[float(g) for g in case.exact(code)] for code in case.codes]).T


def exact_weight(case: Case) -> np.ndarray:
    return np.array([float(case.weight(code)) for code in case.codes])


def some_weights(case: Case) -> np.ndarray:
    """Weights within and beyond the range, none of them a tie."""
    return np.random.default_rng(len(case.name)).uniform(-1.6, 1.6, 400)


def everything(cell, w):
    code = cell.encode(w)
    return {"code": code, "realised": cell.realise(w), "written": cell.conductance(code), "read": cell.decode(code)}


@cache
def facts(case: Case) -> SimpleNamespace:
    """All that a cell computes, compiled once: eager calls would compile every operation for every cell.

    Codes are given as narrow integers, in whose arithmetic most of them would wrap around.
    """
    n, w, far = len(case.codes), some_weights(case), [-np.inf, -1e6, -1.001, 1.001, 1e6, np.inf, np.nan]

    @jax.jit
    def compute(cell, codes, w):
        g, levels = cell.conductance(codes), cell.decode(codes)
        written = cell.encode(jnp.concatenate([levels[:n], jnp.asarray(far)]))
        realised, slope = jax.jvp(cell.realise, (w,), (jnp.ones_like(w),))
        code = cell.encode(w)
        return {
            "g": g,
            "levels": levels,
            "code_of_level": written,
            "level_again": cell.decode(written),
            "targets": cell.targets(codes[:n]),
            "realised": realised,
            "slope": slope,
            "written": cell.conductance(code),
            "code": code,
            "read": cell.decode(code),
            "span": cell.span(),
        }

    cell = case.build()
    codes = np.concatenate([codes_of(case), codes_of(case) + n, codes_of(case) - n]).astype(np.int8)
    found = compute(cell, codes, jnp.asarray([*w, *SLOPES_AT, np.nan]))
    it = SimpleNamespace(**jax.tree.map(np.asarray, found), cell=cell)
    it.nowhere = it.g[:, n:], it.levels[n:], it.level_again[-1], it.realised[:, -1], it.written[:, -1]
    it.conductance, it.levels = it.g[:, :n], it.levels[:n]
    it.far, it.code_of_level, it.level_again = it.code_of_level[n:], it.code_of_level[:n], it.level_again[:n]
    it.slope = it.slope[:, len(w) : -1]
    for name in ("code", "read"):
        setattr(it, name, getattr(it, name)[: len(w)])
    it.realised, it.written = it.realised[:, : len(w)], it.written[:, : len(w)]
    return it


@by_cell
def test_conductances_are_exact(case):
    np.testing.assert_allclose(facts(case).conductance, exact_conductance(case), rtol=ROUNDING, atol=0)


@by_kind_of_cell
def test_conductances_are_exact_in_float32(case):
    """Nothing cancels in them: single precision is kept to its last bits."""
    with jax.enable_x64(False):
        g = jax.jit(case.build().conductance.__func__)(case.build(), jnp.asarray(codes_of(case), jnp.int32))
        assert g.dtype == jnp.float32
        np.testing.assert_allclose(g, exact_conductance(case), rtol=5e-7, atol=0)


@by_cell
def test_codes_run_from_end_to_end(case):
    cell = facts(case).cell
    assert cell.code_range == (case.codes[0], case.codes[-1])
    assert cell.signed == case.signed
    assert (cell.lines, cell.n_devices) == (len(case.significance), case.devices)
    np.testing.assert_allclose(cell.significance, [float(s) for s in case.significance], rtol=1e-15)
    ends = facts(case).levels[[0, -1]]
    np.testing.assert_allclose(ends, [-1.0 if case.signed else 0.0, 1.0], rtol=0, atol=ROUNDING)
    # To the last bit, unless it is a reference that stands for 0.
    assert case.weight(0) != 0 or facts(case).levels[case.codes.index(0)] == 0


@by_cell
def test_a_decoded_code_is_the_weight_of_its_conductances(case):
    np.testing.assert_allclose(facts(case).levels, exact_weight(case), rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(facts(case).span, float(case.span), rtol=ROUNDING)


@by_cell
def test_devices_have_targets_and_bit_lines_are_made_of_devices(case):
    """As many of them for every line; what they shall be, they make up when they are."""
    cell, targets = facts(case).cell, facts(case).targets
    assert targets.shape == (cell.n_devices, len(case.codes))
    assert (targets >= 0).all()
    assert cell.n_devices % cell.lines == 0
    least, step = (float(x) for x in cell.device_grid())
    assert least == targets.min()
    if not case.even:
        np.testing.assert_allclose(step, np.diff(np.unique(targets)).min(), rtol=1e-12)
    elif np.isfinite(step):
        steps = (targets - least) / step
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)
        assert set(np.unique(np.round(steps))) >= {0.0, 1.0}


@by_cell
def test_what_is_no_number_or_no_code_stays_visible_in_a_trace(case):
    for value in facts(case).nowhere:
        assert np.isnan(value).all()
    assert facts(case).far[-1] == NO_CODE


@by_cell
def test_weight_rises_with_code_where_it_should(case):
    assert (np.diff(facts(case).levels) > 0).all() == case.monotone


@by_cell
def test_every_level_is_written_as_itself(case):
    np.testing.assert_array_equal(facts(case).level_again, facts(case).levels)
    np.testing.assert_array_equal(facts(case).code_of_level, codes_of(case))


@by_cell
def test_a_weight_is_written_as_the_nearest_level(case):
    w = some_weights(case)
    nearest = np.abs(w[..., None] - exact_weight(case)).min(axis=-1)
    assert facts(case).code.shape == w.shape
    np.testing.assert_allclose(np.abs(w - facts(case).read), nearest, rtol=0, atol=ROUNDING)


@by_cell
def test_weights_beyond_the_range_are_written_as_the_ends(case):
    low, high = facts(case).cell.code_range
    np.testing.assert_array_equal(facts(case).far, [low] * 3 + [high] * 3 + [NO_CODE])


@by_cell
def test_realised_is_encoded_and_written(case):
    assert facts(case).realised.shape == (len(case.significance), 400)
    np.testing.assert_allclose(facts(case).realised, facts(case).written, rtol=ROUNDING, atol=0)


@by_cell
def test_the_derivative_in_weight_goes_straight_through(case):
    """As if conductance were linear in weight: the span within the range, ends and zero included, nothing beyond."""
    slope = np.tensordot(facts(case).cell.significance, facts(case).slope, axes=1) / facts(case).span
    expected = [0, 1, 1, 1, 1, 1, 1, 0] if case.signed else [0, 0, 0, 1, 1, 1, 1, 0]
    np.testing.assert_allclose(slope, expected, rtol=0, atol=ROUNDING)


@by_cell
def test_every_line_moves_along_its_chord(case):
    """Of a differential cell the plus lines for a positive weight and the minus lines for a negative one."""
    g, w, zero = exact_conductance(case), exact_weight(case), case.codes.index(0)
    for at, end in ((-0.7, 0), (0.4, len(w) - 1)):
        start = zero if zero != end else len(w) - 1
        chord = (g[:, end] - g[:, start]) / (w[end] - w[start]) if case.signed or at > 0 else np.zeros(len(g))
        moves = facts(case).slope[:, SLOPES_AT.index(at)]
        np.testing.assert_allclose(moves, chord, rtol=0, atol=ROUNDING * float(case.span))


@by_kind_of_cell_seldom
def test_derivatives_in_the_physics_are_those_of_finite_differences(case):
    """Forward and reverse, of everything a cell computes, in the relative change of each of its numbers."""
    code, w, span = codes_of(case), jnp.asarray(facts(case).levels), facts(case).span
    at = {k: jnp.zeros_like(jnp.asarray(case.parameters[k])) for k in case.physical}

    def outputs(change):
        cell = case.build(**{k: jnp.asarray(case.parameters[k]) * (1 + change[k]) for k in case.physical})
        g = jnp.stack([cell.conductance(code), cell.realise(w)]) / span
        return jnp.concatenate([g.ravel(), cell.decode(code), cell.span()[None] / span])

    forward, reverse = jax.jit(lambda at: (jax.jacfwd(outputs)(at), jax.jacrev(outputs)(at)))(at)
    outputs, step = jax.jit(outputs), 1e-5
    for name in case.physical:
        np.testing.assert_allclose(reverse[name], forward[name], rtol=0, atol=1e-12)
        for index in np.ndindex(at[name].shape):
            up, down = (np.asarray(outputs(at | {name: at[name].at[index].add(h)})) for h in (step, -step))
            # Third derivatives are of the order of the value: step^2, and rounding over step.
            got = np.asarray(forward[name])[(..., *index)]
            np.testing.assert_allclose(got, (up - down) / (2 * step), rtol=0, atol=1e-8, err_msg=name)


@by_wrapped_cell
def test_batched_cells_do_the_same(case):
    """Under `vmap` over cells that differ in their numbers, and for weights of more than one axis."""

    def scaled(factor, w):
        return everything(case.build(**{k: jnp.asarray(case.parameters[k]) * factor for k in case.physical}), w)

    factors, w = jnp.asarray([0.8, 1.0, 1.3]), jnp.asarray(some_weights(case)).reshape(20, 20)
    for name, values in jax.jit(jax.vmap(scaled, in_axes=(0, None)))(factors, w).items():
        for value, factor in zip(values, factors, strict=True):
            # All resistances larger by a factor: conductances are smaller, and weights what they were.
            expected = getattr(facts(case), name) * (1 if name in ("code", "read") else 1 / float(factor))
            np.testing.assert_allclose(value, expected.reshape(value.shape), rtol=10 * ROUNDING, err_msg=name)
