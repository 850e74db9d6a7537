"""The loop under every descent: one program however it is cut into pieces, and the good end of a bad one."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qsynapse_jax.training import DivergedError, _loop, descend

STEPS = 300


def no_message(step, loss):
    return pytest.fail("diverged")


def chaotic(carry, number):
    """A step in which a bit that is lost somewhere is another number at the end."""
    x = 3.9 * carry * (1 - carry)
    return x, jnp.sum(x), jnp.ones((), bool)


def heard(program, monkeypatch, pause, piece):
    """A run with a listener that takes so long, in pieces of another length."""
    steps = []

    def on_step(number, loss):
        steps.append((number, loss))
        time.sleep(pause)

    monkeypatch.setattr(_loop, "_PIECE", piece)
    items = jnp.arange(STEPS, dtype=jnp.int32)
    end, losses = _loop.run(program, jnp.linspace(0.1, 0.8, 5), items, None, on_step, no_message)
    assert steps == [(k, float(loss)) for k, loss in enumerate(losses, 1)]
    return end, losses


class Counted:
    """A compiled program that notes how many steps each of its pieces has."""

    def __init__(self, update):
        self.program, self.pieces = _loop.compiled(update), []
        self.eval_shape = self.program.eval_shape

    def __call__(self, carry, items, given, first, last):
        self.pieces.append(last - first)
        return self.program(carry, items, given, first, last)


def test_the_same_bits_however_a_run_is_cut(monkeypatch):
    """No listener, ones that hear of many steps at once or of each alone, and one that is slow."""
    traces = []

    def update(carry, number, _):
        traces.append(1)
        return chaotic(carry, number)

    program, items = Counted(update), jnp.arange(STEPS, dtype=jnp.int32)
    expected = _loop.run(program, jnp.linspace(0.1, 0.8, 5), items, None, None, no_message)
    assert program.pieces == [STEPS]
    for pause, piece in ((0.0, 0.1), (0.0, 0.0), (1e-3, 1e-3)):
        program.pieces.clear()
        end, losses = heard(program, monkeypatch, pause, piece)
        np.testing.assert_array_equal(end, expected[0])
        np.testing.assert_array_equal(losses, expected[1])
        assert program.pieces[0] == 1
        assert sum(program.pieces) == STEPS
        assert all(after <= 2 * size for size, after in zip(program.pieces, program.pieces[1:], strict=False))
        # A millisecond may be less than any step takes on a busy machine.
        assert piece == 1e-3 or (max(program.pieces) > 1) == (piece > 0)
    assert len(traces) == 1
    assert program.program._cache_size() == 1


def test_a_weak_type_is_no_other_compilation_for_the_second_piece():
    """A number without a dtype of its own, of which the first step makes one that has one."""

    def update(carry, number, _):
        return carry * jnp.full((), 0.5, float), carry * 1, jnp.ones((), bool)

    program, items = _loop.compiled(update), jnp.arange(3, dtype=jnp.int32)
    end, losses = _loop.run(program, jnp.asarray(8.0), items, None, lambda *_: None, no_message)
    assert program._cache_size() == 1
    assert float(end) == 1.0
    np.testing.assert_array_equal(losses, [8.0, 4.0, 2.0])


@pytest.mark.parametrize("bad", range(1, 12))
@pytest.mark.parametrize("what", ["loss", "step"])
def test_the_last_good_carry_wherever_a_piece_ends(bad, what):
    """Step 1, 2 and 3 are pieces of their own, and longer ones follow: what led there may be in the one before."""

    def update(carry, number):
        loss = jnp.where((what == "loss") & (number + 1 == bad), jnp.nan, 1.0)
        return carry + 1, loss, (what == "loss") | (number + 1 != bad)

    caught = []
    for on_step in (None, lambda number, loss: caught.append(number)):
        with pytest.raises(DivergedError, match=f"^{bad} at ") as error:
            descend(update, jnp.zeros(()), 12, on_step=on_step, message=lambda step, loss: f"{step} at {loss}")
        assert int(error.value.state) == max(bad - 2, 0)
        assert error.value.step == bad
        assert np.isnan(error.value.loss) == (what == "loss")
    # The step that is bad is heard of, none after it.
    assert caught == list(range(1, bad + 1))


def test_a_listener_that_has_had_enough_stops_what_follows():
    """It hears of no step after the one at which it fails, and no other piece begins."""
    numbers = []

    def stop(number, loss):
        numbers.append(number)
        if number == 5:
            raise KeyError("enough")

    begun = time.monotonic()
    with pytest.raises(KeyError, match="enough"):
        descend(chaotic, jnp.linspace(0.1, 0.8, 5), 10**6, on_step=stop)
    assert numbers == [1, 2, 3, 4, 5]
    assert time.monotonic() - begun < 5


def test_a_listener_may_descend_too():
    """From within: nothing of a run is shared with another one."""
    inner = []

    def on_step(number, loss):
        inner.append(float(descend(chaotic, jnp.full(2, 0.3), number)[1][-1]))

    _, losses = descend(chaotic, jnp.full(2, 0.3), 4, on_step=on_step)
    np.testing.assert_array_equal(inner, losses)


def test_random_keys_are_carried():
    def update(key, number):
        key, now = jax.random.split(key)
        return key, jax.random.normal(now), jnp.ones((), bool)

    end, losses = descend(update, jax.random.key(3), 6, on_step=lambda *_: None)
    other, expected = descend(update, jax.random.key(3), 6)
    np.testing.assert_array_equal(losses, expected)
    assert jnp.array_equal(jax.random.key_data(end), jax.random.key_data(other))
