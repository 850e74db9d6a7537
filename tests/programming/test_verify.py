"""Write-verify: what it promises of every cell, and the pulse statistics of the published runs."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.unchecked import unchecked

pytestmark = pytest.mark.usefixtures("x32")
P = qs.programming
SCHEMES = [P.FPPV(), P.ISPP(), P.RangeAdapting()]
by_scheme = pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: type(scheme).__name__)


def targets(bits, shape):
    """Published bands, level after level, for cells of any shape."""
    low, high = P.radar_bands(bits)
    levels = np.arange(np.prod(shape)).reshape(shape) % 2**bits
    return levels, low[levels], high[levels]


# As many cells in most tests, so that each scheme is compiled once a process.
SHAPE = (16, 64)


def program(scheme, bits=2, shape=SHAPE, seed=0, device=None, **options):
    device = device or qs.devices.analog_rram()
    levels, low, high = targets(bits, shape)
    first, second = jax.random.split(jax.random.key(seed))
    state, report = P.write_verify(device, device.init(shape, key=first), low, high, scheme, key=second, **options)
    return device, levels, state, report


@by_scheme
def test_what_is_called_a_success_lies_in_its_band(scheme):
    """But for read noise: 0.4 % a read, and none of 1,024 reads is six standard deviations off (false alarm 2e-6)."""
    device, levels, state, report = program(scheme)
    _, low, high = targets(2, SHAPE)
    g, done = np.asarray(device.conductance(state)), np.asarray(report.success)
    assert (g[done] > np.asarray(low)[done] / 1.024).all()
    assert (g[done] < np.asarray(high)[done] * 1.024).all()
    assert done.mean() > 0.9
    assert (np.bincount(levels[done]) > 150).all()


@by_scheme
def test_every_pulse_is_followed_by_a_read_and_nothing_else(scheme):
    *_, report = program(scheme, max_pulses=60)
    np.testing.assert_array_equal(report.reads, np.asarray(report.pulses) + 1)
    assert report.pulses.max() <= 60
    busy = np.asarray(report.sets) * 2e-7 + np.asarray(report.resets) * 2e-7 + np.asarray(report.reads) * 1e-6
    np.testing.assert_allclose(report.busy, busy, rtol=1e-5)
    assert (np.asarray(report.energy) > 0).all()
    gave_up = ~np.asarray(report.success)
    lowest = np.arange(1024).reshape(SHAPE) % 4 == 0
    assert set(np.asarray(report.pulses)[gave_up & ~lowest]) <= {60}
    assert set(np.asarray(report.pulses)[gave_up & lowest]) <= {min(60, scheme.erase_pulses)}


def test_a_cell_in_its_band_is_read_once_and_left_alone():
    device = qs.devices.analog_rram(sigma_read=0.0, stuck=0.0)
    state = device.set(device.init((50,), key=jax.random.key(0)), jnp.full(50, 2.6), key=jax.random.key(1))
    g = device.conductance(state)
    after, report = P.write_verify(device, state, 0.9 * g, 1.1 * g, P.ISPP(), key=jax.random.key(2))
    np.testing.assert_array_equal(report.pulses, np.zeros(50))
    np.testing.assert_array_equal(report.reads, np.ones(50))
    chex.assert_trees_all_equal(after, state)


def test_shrinking_buffers_put_every_cell_back_in_its_place():
    """1,500 cells, two widths; bands around each cell's own target, so that an exchange of two would show."""
    device = qs.devices.analog_rram(stuck=0.0, sigma_hrs=0.0, sigma_device=0.0)
    target = jnp.asarray(np.random.default_rng(0).uniform(6e-5, 1.7e-4, (50, 30)), jnp.float32)
    state = device.init((50, 30), key=jax.random.key(0))
    state, report = P.write_verify(
        device, state, 0.97 * target, 1.03 * target, P.RangeAdapting(), key=jax.random.key(1), max_pulses=2000
    )
    assert report.success.all()
    np.testing.assert_allclose(device.conductance(state), target, rtol=0.06)


# Mean and p99 of 32,768 writes, 2 bits a cell, at the schemes' caps on pulses, two of which are inferred from the
# published p99; the share of successes was 0.91 to 0.97 of all three.
PUBLISHED = [(P.FPPV(), (14, 44), 849), (P.ISPP(), (19, 25), 200), (P.RangeAdapting(), (8.3, 9.5), None)]


@pytest.mark.parametrize(
    ("scheme", "mean", "p99"),
    [
        pytest.param(*row, id=type(row[0]).__name__, marks=pytest.mark.slow if i == 1 else ())
        for i, row in enumerate(PUBLISHED)
    ],
)
def test_pulse_statistics_are_the_published_ones(scheme, mean, p99):
    """32,768 cells. Seeds move the means by 0.6, 0.2 and 0.03 and FPPV's p99 by 150: its mean is ten of those from the
    nearer end of its range, its p99 two, hence the seed is fixed.
    """
    *_, report = program(scheme, shape=(128, 256), seed=0)
    pulses = np.asarray(report.pulses)
    assert mean[0] <= pulses.mean() <= mean[1]
    if p99 is not None:  # 45 of the range-adapting scheme is its cap: nothing to assert
        assert np.percentile(pulses, 99) <= p99
    assert 0.91 <= np.mean(report.success) <= 0.97
    if not isinstance(scheme, P.FPPV):
        return
    # Three bits, published: mean 137, median 37, success 0.967. The fit is 11 % low and 10 % high; 15 % keeps it there.
    *_, report = program(scheme, bits=3, shape=(128, 256), max_pulses=2000)
    pulses = np.asarray(report.pulses)
    assert pulses.mean() == pytest.approx(137, rel=0.15)
    assert np.median(pulses) == pytest.approx(37, rel=0.15)
    assert np.mean(report.success) == pytest.approx(0.967, abs=0.01)


@pytest.mark.slow
def test_narrower_bands_take_more_pulses():
    """Three bits against two, and adapting against fixed: the order of every published table."""
    mean = {
        (type(scheme).__name__, bits): np.asarray(program(scheme, bits, max_pulses=500)[-1].pulses).mean()
        for scheme in SCHEMES
        for bits in (2, 3)
    }
    for name in ("FPPV", "ISPP", "RangeAdapting"):
        assert mean[name, 3] > 1.5 * mean[name, 2]
    for bits in (2, 3):
        assert mean["RangeAdapting", bits] < mean["ISPP", bits]
        assert mean["RangeAdapting", bits] < mean["FPPV", bits]


def test_one_compilation_for_all_numbers():
    """Devices, bands, seeds, voltages and the most pulses are data; the shape is not."""
    traces = []

    class Counting(P.AbstractScheme):
        max_pulses: int = 9
        erase_pulses: int = 7

        def start(self, device, low, high):
            traces.append(1)
            return P.ISPP().start(device, low, high)

        def next(self, device, memory, g, low, high):
            return P.ISPP().next(device, memory, g, low, high)

    for seed, stuck in enumerate((0.0, 0.1, 0.2)):
        program(Counting(), seed=seed, device=qs.devices.analog_rram(stuck=stuck), max_pulses=20 + seed)
    assert len(traces) == 1


def test_progress_is_told():
    told = []
    *_, report = program(P.ISPP(), max_pulses=40, progress=lambda rounds, cells: told.append((rounds, cells)))
    jax.effects_barrier()
    rounds, cells = zip(*sorted(told), strict=True)
    assert rounds == tuple(range(0, int(report.reads.max()), 10))
    assert list(cells) == sorted(cells, reverse=True)
    assert cells[0] == int(np.sum(np.asarray(report.pulses) > 0))


@pytest.mark.slow
def test_a_large_array_in_under_a_minute():
    """1024 x 1024, three bits, fixed pulses, to the cap of 2,000: 16 s on two cores, compiled in 7 s more."""
    import time

    start = time.perf_counter()
    *_, report = program(P.FPPV(), bits=3, shape=(1024, 1024), max_pulses=2000)
    jax.block_until_ready(report.pulses)
    assert time.perf_counter() - start < 60
    assert np.mean(report.success) > 0.95


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"max_pulses": 0}, r"Argument `max_pulses` must be a positive integer, but is 0\."),
        (
            {"low": jnp.ones((3, 3))},
            r"Argument `low` must have the shape \(4,\) of the cells, but has shape \(3",
        ),
        ({"low": jnp.full(4, 2e-4)}, r"Argument `low` must be below `high` in every cell, but some band is empty\."),
        ({"high": jnp.full(4, 1)}, r"Argument `high` must be a float32 or float64 array"),
    ],
)
def test_wrong_use(changed, message):
    device = qs.devices.analog_rram()
    state = device.init((4,), key=jax.random.key(0))
    given = {"low": jnp.full(4, 1e-5), "high": jnp.full(4, 1e-4), "scheme": P.ISPP()} | changed
    with unchecked(), pytest.raises(ValueError, match=rf"^{message}"):
        P.write_verify(device, state, key=jax.random.key(0), **given)


def test_wrong_schemes():
    with pytest.raises(ValueError, match=r"^Argument `v_step` must be positive, but is "):
        P.ISPP(v_step=-0.1)
    with pytest.raises(ValueError, match=r"^Argument `erase_pulses` must be positive, but is 0\."):
        P.FPPV(erase_pulses=0)
