"""An array that is written to precise levels: what is told of it, from raw reads, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from qsynapse_jax.studies import ProgramConfig, Progress, run_program

SMALL = ProgramConfig(array=(16,), seed=3)


class Listening(Progress):
    """Keeps what is told."""

    def __init__(self):
        self.stages, self.steps, self.said = [], [], []

    def stage(self, name, total):
        self.stages.append((name, total))
        self.steps.append([])

    def step(self, number, loss=None):
        self.steps[-1].append(number)

    def measured(self, what, loss, metric=""):
        self.said.append((what, loss, metric))


@pytest.fixture(scope="module")
def listening():
    return Listening()


@pytest.fixture(scope="module")
def result(listening):
    with jax.numpy_rank_promotion("raise"):
        return run_program(SMALL, listening)


def numbers(result):
    return {one.name: one.ours for one in result.record(1.0).figures}


def test_every_cell_is_on_its_own_level_by_raw_reads(result):
    """2,048 levels 2 uS apart; of 1e4 reads 1.7 lie beyond, in clusters: 8,192 reads have more than 20 never."""
    levels = (result.target - 50e-6) / 2e-6
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-3)
    assert len(np.unique(np.round(levels))) > 200
    assert result.last.success.all()
    off = np.abs(result.read.astype(float) - result.target.astype(float))
    assert (off > 1e-6).sum() <= 20
    found = numbers(result)
    assert found["reads_within_tolerance"] == pytest.approx(100 * np.mean(off <= 1e-6), rel=1e-5)
    everyone = np.all(off <= 1e-6, axis=0)
    assert found["cells_with_all_reads_within_tolerance"] == pytest.approx(100 * np.mean(everyone), rel=1e-5)


def test_denoising_is_what_the_levels_come_from(result):
    before, after = (result.stages[name] for name in ("coarse", "denoised"))
    assert before.levels < 500 < 1500 < after.levels
    assert before.success.mean() < 0.2
    assert before.noisy(SMALL) > 0.7
    assert after.noisy(SMALL) < 0.05
    # Levels by 6 standard deviations of the cell that 99 of 100 others do not exceed.
    assert after.levels == 1 + int(4094e-6 / (6 * np.quantile(after.sigma, 0.99)))
    found = numbers(result)
    assert found["denoising_factor"] == pytest.approx(np.median(before.sigma / after.sigma), rel=1e-3)
    # Of the same cells, followed for a second; the calmer of the two is the denoised one.
    assert before.traces.shape == after.traces.shape == (1000, 4)
    assert (after.traces.std(0) < before.traces.std(0)).all()


def test_it_costs_what_both_stages_do(result):
    pulses = sum(np.asarray(stage.trace.pulses) for stage in result.stages.values())
    np.testing.assert_array_equal(result.pulses, pulses)
    found = numbers(result)
    reads = sum(np.asarray(stage.trace.reads, float) for stage in result.stages.values())
    assert found["reads_per_cell"] == pytest.approx(reads.mean(), rel=1e-4)
    assert found["time_cell_by_cell"] == pytest.approx((1e-6 * pulses + 1e-5 * reads).sum(), rel=1e-4)
    assert found["time_row_by_row"] == pytest.approx((1e-6 * pulses + 1e-5 * reads).max(1).sum(), rel=1e-4)


def test_who_listens_hears_of_cells_within_tolerance(result, listening):
    assert listening.stages[:2] == [("in tolerance, not denoised", 256), ("in tolerance, denoised", 256)]
    # Those that gave up without denoising never count.
    for steps, stage in zip(listening.steps, result.stages.values(), strict=False):
        assert steps[-1] == max(steps) == stage.success.sum()
        assert len(steps) > 3
    assert listening.said[1] == ("256 of 256 cells", None, f"{result.last.levels:,} levels")


@pytest.fixture(scope="module")
def noisy(listening, result):
    """Traps eight times as strong, and hardly any denoising; compiled already."""
    with jax.numpy_rank_promotion("raise"):
        return run_program(replace(SMALL, trap_amplitude="6.4uS", denoising=2, max_pulses=20), listening)


def test_levels_that_the_noise_does_not_support_are_told_and_are_no_error(noisy):
    done = noisy.last.success
    assert 0.02 < done.mean() < 0.8
    off = np.abs(noisy.read.astype(float) - noisy.target.astype(float))
    np.testing.assert_array_equal(noisy.within, np.mean(off <= 1e-6, axis=0))
    # The mask is what raw reads say: cells without success have more of them beyond.
    assert noisy.within[done].mean() > 0.99 > 0.8 > noisy.within[~done].mean()
    assert noisy.last.levels < 500
    first, second = noisy.verdict()
    assert first.startswith(f"{done.sum()} of 256 cells are within 1 uS of their targets")
    assert f"supports {noisy.last.levels:,} levels in 99 of 100 cells, 2,048 were asked for" in second
    record = noisy.record(1.0)
    assert set(noisy.verdict()) <= set(record.notes)
    table = record.tables["missed"]
    assert len(table.rows) == 15
    assert all(row[5] == "no" for row in table.rows)
    np.testing.assert_array_equal(record.data["success"], done)


def test_a_budget_that_is_too_small_is_told(listening, result):
    """Calm cells, and not enough pulses to bring them to their targets."""
    with jax.numpy_rank_promotion("raise"):
        short = run_program(replace(SMALL, trap_amplitude="1nS", max_pulses=2), listening)
    assert 0 < short.last.success.mean() < 0.9
    assert short.last.levels > 2048
    assert "cells that missed need more pulses than `max_pulses`" in short.verdict()[1]


def test_no_denoising_is_one_stage(listening, result):
    with jax.numpy_rank_promotion("raise"):
        plain = run_program(replace(SMALL, denoising=0), listening)
    assert list(plain.stages) == ["coarse"]
    np.testing.assert_array_equal(plain.last.success, result.stages["coarse"].success)
    assert "allow denoising" in plain.verdict()[1]
    assert "denoising_factor" not in numbers(plain)


def test_numbers_may_have_units():
    config = ProgramConfig(low="0.1 mS", high=4e-3, t_read="5us")
    assert config.range == (1e-4, 4e-3)
    assert config == ProgramConfig(low=1e-4, high="4000uS", t_read=5e-6)
    assert float(config.device().t_read) == pytest.approx(5e-6)


@pytest.mark.parametrize("name", ["g.npy", "g.csv"])
def test_targets_of_a_file(name, tmp_path):
    g = np.array([[1e-4, 2e-4, 3.5e-4]])
    path = tmp_path / name
    np.save(path, g) if name.endswith("npy") else np.savetxt(path, g, delimiter=",")
    config = ProgramConfig(target=path)
    assert config.array == (1, 3)
    np.testing.assert_allclose(config.targets(), g, rtol=1e-6)
    assert "targets of" in config.hardware()[0]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "too many levels": ({"levels": 100_000}, r"^100,000 levels are 40.94 nS apart. Argument `step` .* at most \d+ lev"),
    "narrow tolerance": ({"tolerance": 0.01}, "Read longer, widen `tolerance`, or take at most"),
    "wide tolerance": ({"tolerance": 0.6}, "`tolerance` must be above 0 and at most 1/2"),
    "outside": (
        {"low": "10uS"},
        "`low` must lie in the window of the device, 50 uS to 4.144 mS, but is 10 uS; set `wi",
    ),
    "above": ({"high": "5mS"}, "`high` must lie in the window"),
    "upside down": ({"low": "1mS", "high": "1mS"}, "`low` must be below `high` = 1 mS"),
    "unit": ({"low": "50us"}, "`low` must be in S, .* but '50us' is in us"),
    "nan": ({"low": float("nan")}, "`low` must lie in the window"),
    "no budget": ({"max_pulses": 0}, "`max_pulses` must be an integer of at least 1"),
    "negative budget": ({"denoising": -1}, "`denoising` must be non-negative"),
    "one level": ({"levels": 1}, "`levels` must be an integer of at least 2"),
    "no array": ({"array": (0,)}, "`array` must be one or two positive integers"),
    "one read": ({"reads": 1}, "`reads` must be an integer of at least 2"),
    "density": ({"trap_density": 1.5}, "`density` must be a probability"),
    "no file": ({"target": Path("none.npy")}, "must be a file, but none.npy does not exist"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_said_before_any_work(case):
    changes, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        ProgramConfig(**changes)


@pytest.mark.parametrize(
    ("g", "message"),
    [
        ([[1e-4, np.nan]], "must hold conductances of 0 or more in S, but row 0, column 1 .from 0. is nan"),
        ([[1e-4, 5e-3]], "`target` must lie in the window of the device, 50 uS to 4.144 mS, but holds 5 mS; scale"),
        ([1e-4, 2e-4], r"has shape \(2,\)"),
    ],
)
def test_targets_that_cannot_be(g, message, tmp_path):
    np.save(tmp_path / "g.npy", np.array(g))
    with pytest.raises(ValueError, match=message):
        ProgramConfig(target=tmp_path / "g.npy")


def test_a_file_that_holds_no_numbers(tmp_path):
    (tmp_path / "g.csv").write_text("1e-4,2e-4\n1e-4,high\n")
    with pytest.raises(ValueError, match=r"must hold numbers, but number 2 is .high'"):
        ProgramConfig(target=tmp_path / "g.csv")
