"""Columns that are written with noisy reads: what is left of the noise, what it costs, and what is refused."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.programming.zoo import Counter
from tests.unchecked import unchecked

pytestmark = pytest.mark.usefixtures("x32")
D, P = qs.devices, qs.programming
# No channels: what is left is the noise of the reads.
DEVICE, SHAPE, STEP = D.TelegraphFilament(density=0.0), (16, 256), 2e-6
TARGET = 50e-6 + STEP * np.random.default_rng(0).integers(100, 1900, SHAPE).astype(np.float32)


def write(patterns, noise=STEP, target=TARGET, device=DEVICE, **options):
    """From cells within 5 steps of their targets."""
    near = TARGET + STEP * np.random.default_rng(1).uniform(-5, 5, SHAPE).astype(np.float32)
    state = replace(DEVICE.init(SHAPE, key=jax.random.key(0)), g=jnp.asarray(near))
    numbers = {"step": STEP, "noise": noise, "key": jax.random.key(3), "max_rounds": 20} | options
    return P.write_columns(device, state, jnp.asarray(target), patterns, **numbers)[1]


def off(found):
    """Errors in steps."""
    return np.asarray(found.error, float) / STEP


def rms(found):
    return np.sqrt(np.mean(off(found) ** 2))


def test_without_noise_every_cell_ends_in_its_band():
    found = write("hadamard", noise=0.0)
    assert found.success.all()
    # Rounding of a sum of 16 conductances: 1e-7 of 30 mS.
    assert np.abs(off(found)).max() < 0.502
    # A column is read by 16 patterns in each round until its last cell is done.
    assert (np.asarray(found.reads) % 16 == 0).all()
    assert np.asarray(found.reads).max() == 16 * int(found.rounds) < 16 * 20


def test_an_offset_of_all_reads_of_a_round_falls_on_the_first_cell_alone():
    found = off(write("hadamard", noise=0.0, offset=4 * STEP))
    assert np.abs(found[1:]).max() < 0.502
    assert found[0].std() > 1


def test_patterns_leave_what_the_mean_of_as_many_reads_leaves_in_a_sixteenth_of_them():
    """The deviation of 4,096 errors is known to 1.1 %; that of the quotient of two to 1.6 %: five of these."""
    signs, mean = write("hadamard"), write("one-hot", repeats=16)
    assert rms(signs) / rms(mean) == pytest.approx(1, abs=0.08)
    reads = [np.asarray(found.reads, float).mean() for found in (signs, mean)]
    # Both see a noise of a quarter of a step, and take as many rounds.
    assert reads[1] / reads[0] == pytest.approx(16, rel=0.05)
    # A cell that is told to stop lies within the band, and the noise of its last read.
    assert np.abs(off(signs)).max() < 0.5 + 5 / 4
    assert signs.success.mean() > 0.999
    # What a cell costs: it conducts in each of the patterns, or in one of 16.
    np.testing.assert_array_equal(signs.trace.reads, np.broadcast_to(signs.reads, SHAPE))
    np.testing.assert_array_equal(16 * mean.trace.reads, np.broadcast_to(mean.reads, SHAPE))
    # One column after its own reads and the pulses of its cells.
    pulses = np.asarray(signs.trace.pulses)
    times = 1e-5 * np.asarray(signs.reads) + 1e-6 * pulses.sum(0)
    assert float(signs.time) == pytest.approx(times.max(), rel=1e-5)
    spent = 0.04 * 1e-5 * np.asarray(signs.trace.reads) * TARGET + 1.0 * 1e-6 * pulses * TARGET
    np.testing.assert_allclose(signs.trace.energy, spent, rtol=0.4)


@pytest.mark.slow
def test_one_read_of_one_cell_leaves_its_noise():
    assert rms(write("one-hot")) > 2 * rms(write("hadamard"))


@pytest.mark.slow
def test_comparisons_take_cells_nearer_than_any_of_their_reads_is():
    """Signs of 16 reads of a deviation of one step say little of a cell; 40 rounds of ever smaller steps say more."""
    found = write("comparisons", max_rounds=40)
    assert rms(found) < 0.45
    assert int(found.rounds) == 40
    assert (np.asarray(found.reads) == 640).all()
    # Not by luck of the start: 5 steps are gone nearly everywhere.
    assert (np.abs(off(found)) < 2).mean() > 0.99


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"patterns": "walsh"}, "`patterns` must be one of one-hot, hadamard, comparisons, but is 'walsh'"),
        ({"device": Counter()}, "`device` must be an `AbstractFluctuating` for `write_columns`"),
        ({"target": TARGET[:3]}, r"`target` must have the shape \(wl, bl\) of the devices, which is \(16, 256\)"),
        ({"target": np.full(SHAPE, np.nan)}, "`target` must be non-negative .* replace what is no number"),
        ({"noise": -1e-6}, "`noise` must be non-negative"),
        ({"step": 0.0}, "`step` must be positive"),
        ({"tolerance": 0.6}, "`tolerance` must be above 0 and at most 1/2"),
        ({"repeats": 0}, "`repeats` must be an integer of at least 1"),
        ({"max_rounds": 0}, "`max_rounds` must be an integer of at least 1"),
    ],
)
def test_wrong_input(changed, message):
    with unchecked(), pytest.raises(ValueError, match=f"^Argument {message}"):
        write(**({"patterns": "hadamard"} | changed))
