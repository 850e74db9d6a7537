"""Drops along lines in pieces, and sums, against the product with the whole matrix and against one-by-one addition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from qsynapse_jax.crossbar._impedance import impedance
from qsynapse_jax.crossbar._line_sums import running_sum
from qsynapse_jax.crossbar._lines import OnCpu, Way, line_of
from tests.crossbar.nodal import nodal_solve

RNG = np.random.default_rng(0)


def drops(resistances, current):
    """Of both directions, as a CPU takes them and as any other device does."""
    r_word, r_bit, r_driver, r_sense = resistances
    z = impedance(qs.crossbar.Wires(r_word, r_bit, r_driver, r_sense), current.shape[-2:], current.dtype)
    lines = [line for line in (z.word, z.bit) if isinstance(line, OnCpu)]
    assert len(lines) == 2
    return tuple(line.here.drop(current) for line in lines), tuple(line.elsewhere.drop(current) for line in lines)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "shape",
    [
        (96, 97),
        (3, 2, 101, 160),
        *(pytest.param(shape, marks=pytest.mark.slow) for shape in [(127, 100), (2, 130, 128)]),
    ],
)
def test_drops_and_their_derivatives_are_those_of_the_whole_matrix(shape):
    """Lengths that pieces divide and do not; forward mode, and reverse mode by the transpose."""
    current, weight = RNG.normal(size=(2, *shape))
    resistances = [jnp.asarray(r) for r in (1.5, 0.7, 20.0, 30.0)]
    moved = ([jnp.asarray(r) for r in (0.3, -0.2, 5.0, 7.0)], jnp.asarray(RNG.normal(size=shape)))

    @jax.jit
    def everything(resistances, current):
        (pieces, whole), (d_pieces, d_whole) = jax.jvp(drops, (resistances, current), moved)
        _, pull = jax.vjp(drops, resistances, current)
        zero = (jnp.zeros(shape),) * 2
        weights = (jnp.asarray(weight),) * 2
        return (pieces, d_pieces, pull((weights, zero))), (whole, d_whole, pull((zero, weights)))

    got, expected = everything(resistances, jnp.asarray(current))
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-13 * np.max(np.abs(other)))


@pytest.mark.usefixtures("x32")
def test_single_precision_loses_no_digits_in_pieces():
    """Each drop within a few roundings of itself: all terms have one sign."""
    current = RNG.random((200, 150)).astype(np.float32)
    got, whole = jax.jit(drops)([jnp.float32(r) for r in (1.0, 2.0, 3.0, 4.0)], current)
    exact = current.astype(float)
    j, i = np.arange(150), np.arange(200)
    word = exact @ (np.minimum.outer(j, j) + 1.0 + 3.0)
    bit = (2.0 * (200 - np.maximum.outer(i, i)) + 4.0) @ exact
    for ours, theirs, expected in zip(got, whole, (word, bit), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=2e-6)
        np.testing.assert_allclose(theirs, expected, rtol=2e-6)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("n", [1, 31, 32, 33, 97])
def test_running_sums(n):
    rows, columns = RNG.normal(size=(2, 3, n)), RNG.normal(size=(2, n, 3))
    for reverse in (False, True):
        turned = slice(None, None, -1 if reverse else 1)
        got = [
            jax.jit(running_sum, static_argnums=1, static_argnames="reverse")(x, axis, reverse=reverse)
            for x, axis in ((rows, -1), (columns, -2))
        ]
        np.testing.assert_allclose(got[0], np.cumsum(rows[..., turned], -1)[..., turned], atol=1e-13)
        np.testing.assert_allclose(got[1], np.cumsum(columns[:, turned], -2)[:, turned], atol=1e-13)


LONG = {
    "equal lines": {"r_word": 3.0, "r_bit": 2.0, "r_driver": 50.0, "r_sense": 70.0},
    "ends of their own": {
        "r_word": 3.0,
        "r_bit": 2.0,
        "r_driver": RNG.uniform(0, 90, 97),
        "r_sense": RNG.uniform(0, 90, 101),
    },
    "equal lines, unequal segments": {"r_word": RNG.uniform(0, 5, 101), "r_bit": RNG.uniform(0, 5, 97)},
    "segments of their own": {
        "r_word": RNG.uniform(0, 5, (97, 101)),
        "r_bit": RNG.uniform(0, 5, (97, 101)),
        "r_driver": 50.0,
    },
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow if kind == "equal lines" else []) for kind in LONG]
)
def test_long_lines_of_every_kind_agree_with_nodal_analysis(kind):
    wires = LONG[kind]
    g, v_in = 10 ** RNG.uniform(-6, -3, (97, 101)), RNG.uniform(-1, 1, 97)
    v_out = RNG.uniform(-1, 1, 101)
    sol = qs.crossbar.solve(g, v_in, qs.crossbar.Wires(**wires), v_out=v_out)
    expected = nodal_solve(g, v_in, v_out=v_out, **wires)
    for name in ("i_out", "v_word", "v_bit", "i_cell"):
        got, truth = getattr(sol, name), getattr(expected, name)
        np.testing.assert_allclose(got, truth, rtol=0, atol=1e-10 * np.max(np.abs(truth)))


@pytest.mark.usefixtures("x64")
def test_very_long_lines_of_unequal_segments():
    """From 384 cells on a CPU adds up where other devices multiply."""
    wires = qs.crossbar.Wires(RNG.uniform(0, 2, 400), RNG.uniform(0, 2, 390), RNG.uniform(0, 9, 390), 3.0)
    current = jnp.asarray(RNG.normal(size=(390, 400)))
    for line in (lambda z: z.word, lambda z: z.bit):
        got, expected = jax.jit(
            lambda x, line=line: (lambda z: (z.here.drop(x), z.elsewhere.drop(x)))(
                line(impedance(wires, (390, 400), x.dtype))
            )
        )(current)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-13 * float(jnp.max(jnp.abs(expected))))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("from_end", [False, True])
@pytest.mark.parametrize("axis", [-1, -2])
def test_lines_may_lie_along_either_axis_with_their_terminal_at_either_end(axis, from_end):
    """Of 100 cells, in pieces of 25 or 15, and of 32: the resistance that each two cells share, added up by hand."""
    for n in (100, 32):
        turned = slice(None, None, -1 if from_end else 1)
        shared = np.minimum.outer(np.arange(n), np.arange(n))[turned, turned]
        current = RNG.normal(size=(2, n, 3) if axis == -2 else (2, 3, n))

        def along(x, matrix):
            return matrix @ x if axis == -2 else x @ matrix

        segments = RNG.uniform(0, 5, n)
        steps = np.cumsum(segments[turned])[np.minimum.outer(np.arange(n), np.arange(n))][turned, turned]
        for r, kernel in ((jnp.asarray(2.0), 2.0 * (shared + 1)), (jnp.asarray(segments), steps)):
            kernel = kernel + 7.0
            last = kernel[0 if from_end else -1]
            closed = kernel - np.outer(last, last) / (3.0 + last[0 if from_end else -1])
            for far, matrix in ((None, kernel), (jnp.asarray(3.0), closed)):
                lines = line_of(Way(axis, from_end, n), r, jnp.asarray(7.0), far)
                drop = jax.jit(lambda x, lines=lines: lines.drop(x))(current)
                np.testing.assert_allclose(drop, along(current, matrix), rtol=0, atol=1e-10)
