"""What every cell promises, whatever it is made of: the same tests for each."""

from functools import cache
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.cells.zoo import CELLS, Case, by_cell, by_kind_of_cell

# Some of these switches are bad on purpose; that they are warned of is tested in test_branches.py.
pytestmark = [
    pytest.mark.usefixtures("x64"),
    pytest.mark.filterwarnings("ignore:A ladder R, 2R, 4R:UserWarning"),
]

ROUNDING = 1e-14  # relative, of a handful of operations in float64
SLOPES_AT = (-1.2, -1.0, -0.7, 0.0, 1e-3, 0.4, 1.0, 1.2)

by_signed_cell = pytest.mark.parametrize("case", [c for c in CELLS if c.signed], ids=lambda case: case.name)


def codes_of(case: Case) -> np.ndarray:
    return np.asarray(case.codes)


def exact_conductance(case: Case) -> np.ndarray:
    """(lines, codes) [S]"""
    return np.array([[float(g) for g in case.exact(code)] for code in case.codes]).T


def exact_weight(case: Case) -> np.ndarray:
    return np.array([float(case.weight(code)) for code in case.codes])


def some_weights(case: Case) -> np.ndarray:
    """Weights within and beyond the range, none of them a tie."""
    return np.random.default_rng(len(case.name)).uniform(-1.6, 1.6, (20, 20))


def with_lines(case: Case, g) -> np.ndarray:
    """Conductances with an axis of bit lines in front, which a cell on one line leaves out."""
    g = np.asarray(g)
    return g if case.signed else g[None]


def everything(cell, w):
    code = cell.encode(w)
    return {
        "code": code,
        "realised": cell.realise(w),
        "written": cell.conductance(code),
        "read": cell.decode(code),
        "span": cell.span(),
    }


@cache
def facts(case: Case) -> SimpleNamespace:
    """All that a cell computes, compiled once: eager calls would compile every operation for every cell."""

    @jax.jit
    def compute(cell, codes, w, at):
        levels = cell.decode(codes)
        return {
            "conductance": cell.conductance(codes),
            "levels": levels,
            "code_of_level": cell.encode(levels),
            "level_again": cell.decode(cell.encode(levels)),
            "slope": jax.jvp(cell.realise, (at,), (jnp.ones_like(at),))[1],
            "far": cell.encode(jnp.asarray([-jnp.inf, -1e6, -1.001, 1.001, 1e6, jnp.inf])),
            **everything(cell, w),
        }

    cell = case.build()
    found = compute(cell, codes_of(case), some_weights(case), jnp.asarray(SLOPES_AT))
    return SimpleNamespace(**{name: np.asarray(value) for name, value in found.items()}, cell=cell)


@by_cell
def test_conductances_are_exact(case):
    g = with_lines(case, facts(case).conductance)
    np.testing.assert_allclose(g, exact_conductance(case), rtol=ROUNDING, atol=0)


@by_cell
def test_conductances_are_exact_in_float32(case):
    """Nothing cancels in them: single precision is kept to its last bits."""
    with jax.enable_x64(False):
        g = jax.jit(case.build().conductance.__func__)(case.build(), jnp.asarray(codes_of(case), jnp.int32))
        assert g.dtype == jnp.float32
        np.testing.assert_allclose(with_lines(case, g), exact_conductance(case), rtol=5e-7, atol=0)


@by_cell
def test_codes_run_from_end_to_end(case):
    low, high = facts(case).cell.code_range
    assert (low, high) == (case.codes[0], case.codes[-1])
    assert len(facts(case).cell.signs) == len(case.exact(0))
    ends = facts(case).levels[[0, codes_of(case).tolist().index(0), -1]]
    assert ends[1] == 0
    np.testing.assert_allclose(ends, [-1.0 if case.signed else 0.0, 0.0, 1.0], rtol=0, atol=ROUNDING)


@by_cell
def test_a_decoded_code_is_the_weight_of_its_conductances(case):
    np.testing.assert_allclose(facts(case).levels, exact_weight(case), rtol=0, atol=ROUNDING)
    zero, full = float(case.law(0)), float(case.law(case.levels - 1))
    np.testing.assert_allclose(facts(case).span, full - zero, rtol=ROUNDING)


@by_cell
def test_conductances_lie_between_the_two_ends(case):
    g = with_lines(case, facts(case).conductance)
    assert g.shape == (len(facts(case).cell.signs), len(case.codes))
    assert (g >= 0).all()
    assert (g >= float(case.law(0)) * (1 - ROUNDING)).all()
    assert (g <= float(case.law(case.levels - 1)) * (1 + ROUNDING)).all()


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
    np.testing.assert_array_equal(facts(case).far, [low] * 3 + [high] * 3)


@by_cell
def test_realised_is_encoded_and_written(case):
    assert with_lines(case, facts(case).realised).shape == (len(facts(case).cell.signs), 20, 20)
    np.testing.assert_allclose(facts(case).realised, facts(case).written, rtol=ROUNDING, atol=0)


@by_cell
def test_the_derivative_in_weight_goes_straight_through(case):
    """As if conductance were linear in weight: the span within the range, ends and zero included, nothing beyond."""
    slope = np.tensordot(facts(case).cell.signs, with_lines(case, facts(case).slope), axes=1) / facts(case).span
    expected = [0, 1, 1, 1, 1, 1, 1, 0] if case.signed else [0, 0, 0, 1, 1, 1, 1, 0]
    np.testing.assert_allclose(slope, expected, rtol=0, atol=ROUNDING)


@by_signed_cell
def test_only_the_line_that_carries_the_weight_moves(case):
    at = [SLOPES_AT.index(-0.7), SLOPES_AT.index(0.4)]
    np.testing.assert_allclose(facts(case).slope[:, at] / facts(case).span, [[0, 1], [-1, 0]], rtol=0, atol=ROUNDING)


@by_kind_of_cell
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


@by_signed_cell
def test_eager_and_batched_cells_do_the_same(case):
    """Without `jit`; and under `vmap` over cells that differ in their numbers."""
    for name, value in everything(case.build(), some_weights(case)).items():
        np.testing.assert_allclose(value, getattr(facts(case), name), rtol=ROUNDING, err_msg=name)

    @jax.jit
    def scaled(factor, w):
        cell = case.build(**{k: jnp.asarray(case.parameters[k]) * factor for k in case.physical})
        return everything(cell, w)

    factors, w = jnp.asarray([0.8, 1.0, 1.3]), jnp.asarray(some_weights(case)[0])
    batched = jax.vmap(scaled, in_axes=(0, None))(factors, w)
    for i, factor in enumerate(factors):
        for name, value in scaled(factor, w).items():
            np.testing.assert_allclose(batched[name][i], value, rtol=ROUNDING, err_msg=name)
