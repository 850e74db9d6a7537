"""The parts of the experiment `precision_network`: what is found of weights on arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.precision_network._arrays import Layer, accuracies, matrices, targets
from qsynapse_jax.crossbar import Wires
from qsynapse_jax.datasets import Dataset
from qsynapse_jax.devices import ProgrammingNoise

pytestmark = pytest.mark.usefixtures("x32")
SPAN, SHAPE = 64e-6, (8, 8)
W = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (40, 30)), "float32")


def noise(sigma):
    return ProgrammingNoise(jnp.asarray([sigma], jnp.float32), 1e-6, 50e-6, 4144e-6)


@pytest.mark.slow
def test_levels_and_noise_are_those_of_the_span():
    """Five levels are quarters. Noise of 1 uS on both devices is root 2 over 64 uS; 1,200 numbers know it to 2 %."""
    g = targets(W, SPAN, None, SHAPE)
    assert g.shape == (40, 60)
    found = matrices(g, SPAN, (5, 2048), [noise(0.0), noise(1e-6)], None, SHAPE, seed=0)
    assert found.shape == (4, 40, 30)
    # Before that weights are rounded to 2^15 levels of all of the window: 512 of them are 64 uS.
    np.testing.assert_allclose(4 * found[0], np.round(4 * found[0]), atol=1e-4)
    assert np.abs(np.asarray(found[0] - W)).max() < 1 / 8 + 1 / 512
    assert np.abs(np.asarray(found[1] - W)).max() < 1 / 512
    for rounded, noisy in ((found[0], found[2]), (found[1], found[3])):
        assert np.std(np.asarray(noisy - rounded)) == pytest.approx(2**0.5 / 64, rel=0.1)


@pytest.mark.slow
def test_compensation_uses_the_window_beyond_the_span():
    wires = Wires(r_word=20.0, r_bit=60.0)
    plain, compensated = (targets(W, SPAN, way, SHAPE) for way in (None, wires))
    assert np.asarray(plain).max() < 50.1e-6 + SPAN < np.asarray(compensated).max()
    found = [matrices(g, SPAN, (2048,), [noise(0.0)], wires, SHAPE, seed=0)[0] for g in (plain, compensated)]
    errors = [np.std(np.asarray(one - W)) for one in found]
    assert errors[1] < 0.1 * errors[0]


@pytest.mark.slow
def test_how_far_eight_steps_of_the_search_come():
    """What the README says of the committed run: wires of 22 nm take half; 64 uS for the largest weight."""
    w = jnp.clip(0.15 * jax.random.normal(jax.random.key(0), (64, 32)), -1, 1)
    wires = Wires(r_word=2.12, r_bit=6.36)
    errors = []
    for steps in (8, 100):
        g = targets(w, SPAN, wires, (64, 64), steps)
        found = matrices(g, SPAN, (2048,), [noise(0.0)], wires, (64, 64), seed=0)[0]
        errors.append(np.std(np.asarray(found - w)) / np.std(np.asarray(w)))
    assert 0.05 < errors[0] < 0.08
    assert errors[1] < 0.01


def test_accuracy_is_that_of_the_labels():
    """A network that names the first of two pixels that is lit, of runs with and without a sign error."""
    eye = jnp.eye(2, dtype="float32")
    layers = [Layer(eye, jnp.zeros(2, "float32")), Layer(eye, jnp.zeros(2, "float32"))]
    x, y = np.eye(2, dtype=np.float32)[[0, 1, 0, 1]], np.array([0, 1, 0, 0], np.int32)
    data = Dataset("two", x, y, x, y, (1, 2), 2)
    runs = accuracies(layers, [jnp.stack([eye, eye]), jnp.stack([eye, -eye])], data)
    np.testing.assert_allclose(runs, [75.0, 25.0])
