"""INL and DNL of ladders R, 2R, 4R, ... against on/off ratio and bits, exact and to first order."""

import warnings

import jax
import numpy as np

import qsynapse_jax as qs
from qsynapse_jax.studies import TextTable

BITS = (2, 3, 4, 5, 6)
RATIOS = (16.0, 64.0, 200.0, 1e3, 1e4, 1e6)
# Of which the table shows these: a cell as good as the RADAR data, and one of a digital process.
SHOWN = (200.0, 1e4)
R_ON = 5e3
# R / r_on and r_off of the two rows computed independently in science.md section 1 [D], for 2 to 5 bits [LSB].
GIVEN = {(16.0, 1e6): (0.03, 0.13, 0.47, 1.32), (8.0, 80e3): (0.15, 0.57, 1.52, 3.54)}


def exact(bits: int, r_unit: float, r_on: float, r_off: float) -> tuple[float, float]:
    """Worst INL and DNL of a ladder [LSB], from its exact conductances, in double precision."""
    with jax.enable_x64(True), warnings.catch_warnings():
        # More bits than the switch supports are what is being measured here.
        warnings.filterwarnings("ignore", message="A ladder R, 2R, 4R")
        found = qs.cells.linearity(qs.cells.Ladder(bits, r_unit, r_on, r_off))
        return float(found.worst_inl), float(found.worst_dnl)


def first_order(bits: int, r_unit: float, r_on: float, r_off: float) -> float:
    """Worst INL to first order in r_on/R and R/r_off [LSB].

    In steps 1/(2^(n-1) R), a branch that is on lacks 2^(n-1) (r_on/R) 4^-k, and one that is off has 2^(n-1) R/r_off too
    much. Less the line through the first and the last level, branch k contributes d_k to every code that has it on;
    the d_k add up to zero, so the worst code has those of one sign:

        d_k = 2^(n-1) (r_on/R) (4^-k - 2^-k sum 4^-j / sum 2^-j) + 2^(n-1) (R/r_off) (1 - 2^-k n / sum 2^-j)
    """
    halves, quarters = 0.5 ** np.arange(bits), 0.25 ** np.arange(bits)
    on = r_on / r_unit * (quarters - halves * quarters.sum() / halves.sum())
    off = r_unit / r_off * (1 - halves * bits / halves.sum())
    return float(2 ** (bits - 1) * np.maximum(on + off, 0).sum())


def estimate(bits: int, r_on: float, r_off: float) -> float:
    """The estimate 2^(n-1) sqrt(r_on/r_off) of the worst error at the best R, sqrt(r_on r_off) [LSB] [D]."""
    return float(2 ** (bits - 1) * (r_on / r_off) ** 0.5)


def claims() -> dict[str, tuple[str, float]]:
    """Unit and value by name; no seed changes any of them."""
    computed = [
        (exact(bits, unit * R_ON, R_ON, r_off)[0], expected)
        for (unit, r_off), given in GIVEN.items()
        for bits, expected in zip(BITS, given, strict=False)
    ]
    # Where both apply: r_on/R and R/r_off are 1e-4, up to 2^5 times as much in the last branch.
    parts = [(n, 1e4 * R_ON, R_ON, 1e8 * R_ON) for n in BITS]
    off = [exact(*part)[0] / first_order(*part) - 1 for part in parts]
    at_ratio = {bits: exact(bits, 2.0**bits * R_ON, R_ON, 4.0**bits * R_ON)[0] for bits in BITS}
    return {
        "inl_against_an_independent_computation_largest_difference": ("LSB", max(abs(a - b) for a, b in computed)),
        "inl_exact_against_first_order_at_ratio_1e8_2_to_6_bits": ("%", 100 * max(map(abs, off))),
        "inl_at_on_off_ratio_4_to_the_bits_2_to_4_bits": ("LSB", max(at_ratio[bits] for bits in (2, 3, 4))),
        "inl_at_on_off_ratio_4_to_the_bits_5_bits": ("LSB", at_ratio[5]),
        "inl_at_on_off_ratio_4_to_the_bits_6_bits": ("LSB", at_ratio[6]),
    }


def table() -> tuple[TextTable, dict[str, np.ndarray]]:
    """INL at the best R = sqrt(r_on r_off): exact, to first order and estimated; and DNL. The rows, and all numbers."""
    columns = ["bits", "r_off/r_on", "INL [LSB]", "to first order", "2^(n-1) sqrt(r_on/r_off)", "DNL [LSB]"]
    rows, numbers = [], np.empty((len(BITS), len(RATIOS), 4))
    for i, bits in enumerate(BITS):
        for j, ratio in enumerate(RATIOS):
            parts = (bits, ratio**0.5 * R_ON, R_ON, ratio * R_ON)
            inl, dnl = exact(*parts)
            numbers[i, j] = inl, first_order(*parts), estimate(bits, R_ON, ratio * R_ON), dnl
            if ratio in SHOWN:
                rows.append([str(bits), f"{ratio:g}", *(f"{number:.3g}" for number in numbers[i, j])])
    data = {"bits": np.array(BITS), "ratios": np.array(RATIOS), "exact_first_order_estimate_dnl": numbers}
    return TextTable("Linearity of R, 2R, 4R, ... with R = sqrt(r_on r_off)", columns, rows), data
