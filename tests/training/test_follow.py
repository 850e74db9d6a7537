"""Training through circuits that are followed: as good as exact circuits, resumable, and told where it cannot be."""

import dataclasses

import jax
import numpy as np
import pytest

import qsynapse_jax as qs
from qsynapse_jax import training
from tests.training.models import ADAM, KEY, SIZE, TILE, assert_same, numbers, samples, software

# Wires that take a third of the current from a tile of 4 x 4.
CELL = qs.cells.Differential(qs.cells.Ladder(3, 1e3, 50.0, 50e3))
WIRES = qs.crossbar.Wires(40.0, 40.0)
X, Y = samples(40)


def begun(refresh=None, **given):
    """A network of two layers on tiles behind such wires."""
    model = qs.nn.convert(software(6), qs.tile.Tile(CELL, wires=WIRES, shape=TILE))
    options = {} if refresh is None else {"refresh": refresh}
    return training.init(model, given.pop("rule", ADAM), key=KEY, **options, **given)


def trained(state, epochs=3):
    losses = []
    for _ in range(epochs):
        state, metrics = training.epoch(state, X, Y, 4)
        losses.extend(np.asarray(metrics.losses))
    return state, np.asarray(losses)


@pytest.fixture(scope="module")
def followed():
    return trained(begun())


@pytest.fixture(scope="module")
def exact():
    return trained(begun("always"))


@pytest.mark.slow  # compilation, most of it
def test_followed_training_goes_the_way_of_exact_training(followed, exact):
    (state, losses), (_, reference) = followed, exact
    np.testing.assert_allclose(losses, reference, atol=0.02)
    assert losses[-5:].mean() < 0.8 * losses[:5].mean()
    for one in state.circuits.values():
        assert 2 < int(one.renewals) < 25
        assert int(one.interval) > 1
        assert int(one.exact_steps) == 0


def test_what_was_trained_is_measured_exactly(followed):
    model = training.model(followed[0])
    layer = model.layers[0]
    assert layer.kernel.reference is None
    g = layer.kernel.crosspoints()
    tile = layer.kernel.tile.get_value()
    np.testing.assert_array_equal(layer.kernel.effective(), tile.effective(g))


def test_always_keeps_no_references(exact):
    assert exact[0].circuits == {}


@pytest.mark.slow  # compilation, most of it
def test_where_the_derivative_does_not_hold_circuits_are_solved(exact):
    """With a demand that no model meets every step has the exact gradient."""
    state, losses = trained(begun(training.Follow(slope=1e-5)))
    np.testing.assert_allclose(losses, exact[1], atol=1e-4)
    for one in state.circuits.values():
        assert int(one.exact_steps) == len(losses)


@pytest.mark.slow
def test_a_tighter_tolerance_compiles_more_often(followed):
    tight, _ = trained(begun(training.Follow(tolerance=1e-3)))
    for path, one in tight.circuits.items():
        assert int(one.renewals) > int(followed[0].circuits[path].renewals)


def test_a_run_goes_on_in_the_middle_of_an_interval_to_the_last_bit(followed, tmp_path):
    state, _ = trained(begun(), epochs=1)
    assert any(int(one.left) > 0 for one in state.circuits.values())
    training.save(state, tmp_path)
    again, _ = trained(training.restore(tmp_path, like=begun()), epochs=2)
    assert_same(numbers(training.model(again)), numbers(training.model(followed[0])))
    jax.tree.map(np.testing.assert_array_equal, again.circuits, followed[0].circuits)
    with pytest.raises(ValueError, match=r"refresh: .*tolerance=0.01.* stored, .*tolerance=0.001.* expected"):
        training.restore(tmp_path, like=begun(training.Follow(tolerance=1e-3)))


def test_training_stops_at_what_is_not_finite_and_keeps_the_last_good_state():
    x = X.copy()
    x[:] = np.where(np.arange(len(x))[:, None] % 7 == 6, np.float32(3e38), x)
    with pytest.raises(training.DivergedError, match="The last good state") as caught:
        training.epoch(begun(), x, Y, 4)
    good = caught.value.state
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(good.circuits) if leaf.dtype.kind == "f")
    assert int(good.step) < len(X) // 4


@pytest.mark.slow  # compilation, most of it
def test_steps_of_ones_own_are_followed_too(followed):
    state = begun()
    step = jax.jit(training.step)
    for _ in range(3):
        state, loss = step(state, X[:4], Y[:4])
    assert np.isfinite(loss)
    assert all(int(one.renewals) >= 2 for one in state.circuits.values())


def test_models_without_wires_have_nothing_to_follow():
    state = training.init(software(6), ADAM, key=KEY)
    assert state.circuits == {}
    ideal = qs.nn.convert(software(6), qs.tile.Tile(CELL, shape=TILE))
    assert training.init(ideal, ADAM, key=KEY).circuits == {}
    with pytest.raises(ValueError, match="no circuit to follow"):
        qs.tile.Tile(CELL, shape=TILE).follow(np.ones((SIZE[0], 4), np.float32))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tolerance": 0.0}, "`tolerance` must be positive"),
        ({"tolerance": float("nan")}, "`tolerance` must be"),
        ({"tolerance": 1e-7}, r"at least 1e-05, since float32 holds no less.*refresh=\"always\""),
        ({"slope": -1.0}, "`slope` must be positive"),
        ({"longest": 0}, "`longest` must be"),
    ],
)
def test_a_tolerance_that_cannot_be(given, message):
    with pytest.raises(ValueError, match=message):
        training.Follow(**given)


def test_another_refresh_is_refused():
    with pytest.raises(ValueError, match=r"must be a `training.Follow`.*\"always\".*but is 'never'"):
        begun("never")
    assert dataclasses.replace(training.Follow(), longest=3).longest == 3
