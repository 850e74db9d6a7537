"""Devices to train in, as numbers with their sources: each function returns a device, and takes other numbers by name.

The last three are no devices but what was measured of arrays after writing (`ProgrammingNoise`).

Tags: [S] read in the source, [D] derived from it, [R] field lore. The first eight are presets of aihwkit 1.1.0
(github.com/IBM/aihwkit, aihwkit/simulator/presets/devices.py), all numbers [S] but the range of conductances, which
weights do not see [R].
"""

from typing import Any

import jax.numpy as jnp

from qsynapse_jax.devices._affine import ConstantStep, LinearStep, SoftBounds
from qsynapse_jax.devices._curved import ExpStep
from qsynapse_jax.devices._programming_noise import ProgrammingNoise


def reram_es(**changes: Any) -> ExpStep:
    """HfO2 ReRAM, its curves as exponential steps.

    Reference: N. Gong et al., Nat. Commun. 9:2102, 2018, doi 10.1038/s41467-018-04485-1.
    """
    numbers: dict[str, Any] = {"dw_min": 0.00135, "up_down": 0.259359, "a": -0.5, "b": -0.5}
    numbers |= {"gamma_up": 5.0, "gamma_down": 5.0, "A_up": -1.18445, "A_down": -0.081404}
    numbers |= {"dw_min_dtod": 0.2, "up_down_dtod": 0.05, "w_max_dtod": 0.3, "w_min_dtod": 0.3}
    numbers |= {"dw_min_std": 5.0, "write_noise_std": 75.0}
    return ExpStep(**(numbers | changes))


def reram_sb(**changes: Any) -> SoftBounds:
    """HfO2 ReRAM, its curves loosely as soft bounds; its symmetry point lies at weight 0.

    Reference: as for `reram_es`.
    """
    numbers: dict[str, Any] = {"dw_min": 0.002, "w_max": 1.25, "w_min": -0.75, "mult_noise": False}
    numbers |= {"dw_min_dtod": 0.3, "up_down_dtod": 0.01, "w_max_dtod": 0.3 / 1.25, "w_min_dtod": 0.3 / 0.75}
    numbers |= {"dw_min_std": 3.75, "write_noise_std": 56.0}
    return SoftBounds(**(numbers | changes))


def reram_array_om(**changes: Any) -> SoftBounds:
    """ReRAM array with the optimized material: 21 states; 13.48 % of the cells were stuck, none here: `stuck=0.1348`.

    Reference: N. Gong, M. J. Rasch et al., "Deep learning acceleration in 14nm CMOS compatible ReRAM array", IEDM 2022,
        doi 10.1109/IEDM45625.2022.10019569.
    """
    numbers: dict[str, Any] = {"dw_min": 0.0949, "dw_min_dtod": 0.7829, "w_max_dtod": 0.3499, "w_min_dtod": 0.5695}
    numbers |= {"dw_min_std": 0.4158, "write_noise_std": 1.4113}
    return SoftBounds(**(_ARRAY | numbers | changes))


def reram_array_hfo2(**changes: Any) -> SoftBounds:
    """ReRAM array with HfO2: 4 states; 9.77 % of the cells were stuck, none here: `stuck=0.0977`.

    Reference: as for `reram_array_om`.
    """
    numbers: dict[str, Any] = {"dw_min": 0.4622, "dw_min_dtod": 0.7125, "w_max_dtod": 0.4295, "w_min_dtod": 0.5990}
    numbers |= {"dw_min_std": 0.2174, "write_noise_std": 0.5841}
    return SoftBounds(**(_ARRAY | numbers | changes))


_ARRAY: dict[str, Any] = {
    **{"mult_noise": False, "dw_min_dtod_log_normal": True, "up_down_dtod": 0.01},
    **{"subtract_symmetry_point": True, "reference_std": 0.05, "stuck_range": 0.01},
}


def capacitor(**changes: Any) -> LinearStep:
    """Capacitor behind transistors, with leakage: 1 s of `age` stands for one mini-batch, 1e6 of which are a lifetime.

    Reference: Y. Li et al., "Capacitor-based cross-point array for analog neural network with record symmetry and
        linearity", VLSI 2018, doi 10.1109/VLSIT.2018.8510648.
    """
    numbers: dict[str, Any] = {"dw_min": 0.005, "gamma_up": 0.05, "gamma_down": 0.05, "mult_noise": False}
    numbers |= {"dw_min_dtod": 0.1, "up_down_dtod": 0.06, "w_max_dtod": 0.07, "w_min_dtod": 0.07}
    numbers |= {"gamma_up_dtod": 0.01, "gamma_down_dtod": 0.01, "dw_min_std": 0.3}
    numbers |= {"lifetime": 1e6, "lifetime_dtod": 0.3}
    return LinearStep(**(numbers | changes))


def ecram(**changes: Any) -> LinearStep:
    """Lithium ECRAM, its range shifted so that the symmetry point is weight 0.

    Reference: J. Tang et al., "ECRAM as scalable synaptic cell for high-speed, low-power neuromorphic computing", IEDM
        2018, doi 10.1109/IEDM.2018.8614551.
    """
    numbers: dict[str, Any] = {"dw_min": 0.002, "w_max": 1.1724, "w_min": -0.8276}
    numbers |= {"gamma_up": 0.1153, "gamma_down": 0.5085, "gamma_up_dtod": 0.05, "gamma_down_dtod": 0.05}
    numbers |= {"dw_min_dtod": 0.1, "up_down_dtod": 0.01, "w_max_dtod": 0.05, "w_min_dtod": 0.05}
    numbers |= {"dw_min_std": 0.3}
    return LinearStep(**(numbers | changes))


def gokmen_vlasov(**changes: Any) -> ConstantStep:
    """The device that training in crossbars was first specified for, 1,200 states.

    Reference: T. Gokmen and Y. Vlasov, Front. Neurosci. 10:333, 2016, doi 10.3389/fnins.2016.00333.
    """
    numbers: dict[str, Any] = {"dw_min": 0.0016, "up_down_dtod": 0.01, "dw_min_std": 0.3}
    numbers |= {"dw_min_dtod": 0.3, "w_max_dtod": 0.3, "w_min_dtod": 0.3}
    return ConstantStep(**(numbers | changes))


def idealized(**changes: Any) -> ConstantStep:
    """As `gokmen_vlasov`, with 10,000 states, both directions alike.

    Reference: M. J. Rasch, T. Gokmen and W. Haensch, IEEE Design & Test 37(1), 19, 2020, arXiv 1906.02698.
    """
    numbers: dict[str, Any] = {"dw_min": 0.0002, "up_down_dtod": 0.0}
    return gokmen_vlasov(**(numbers | changes))


def cmo_hfox(**changes: Any) -> SoftBounds:
    """CMO/HfOx ReRAM: 27 states on average, spread 0.18 of the steps from device to device.

    - 27 states and 0.18 [S]; dw_min = 2/27 for states counted as (w_max - w_min)/dw_min [D]; soft bounds [S].
    - 25 to 90 uS of single devices under 60 ns pulses [S].

    Reference: W. Choi, T. Stecconi, D. F. Falcone et al., "Update Disturbance-Resilient Analog ReRAM Crossbar Arrays
        for In-Memory Deep Learning Accelerators", Adv. Sci. 13(4), 2026, doi 10.1002/advs.202504578.
    """
    numbers: dict[str, Any] = {"dw_min": 2 / 27, "dw_min_dtod": 0.18, "g_min": 25e-6, "g_max": 90e-6}
    return SoftBounds(**(numbers | changes))


def cmo_hfox_skewed(**changes: Any) -> SoftBounds:
    """CMO/HfOx ReRAM array pulsed in an open loop: 22 states, symmetry point 61 % from the center, steps down steeper.

    - 22 states on average, 16 to 33; skew 61 %; noise of 90 % of a step at the symmetry point [S].
    - Symmetry point (up - down)/(up + down) = -0.61 of the half range gives up = 0.2422 down, up_down = -0.7578; 22
      mean steps (up + down)/2 in the range give dw_min = 0.1464; 16 to 33 as two standard deviations, spread 0.18 [D].
    - 9 to 88.2 uS [S].

    Reference: D. F. Falcone et al., "All-in-One Analog AI Hardware", Adv. Funct. Mater. 2025,
        doi 10.1002/adfm.202504688.
    """
    numbers: dict[str, Any] = {"dw_min": 0.1464, "up_down": -0.7578, "dw_min_std": 0.9, "dw_min_dtod": 0.18}
    numbers |= {"g_min": 9e-6, "g_max": 88.2e-6}
    return SoftBounds(**(numbers | changes))


def cmo_hfox_symmetric(**changes: Any) -> SoftBounds:
    """Single CMO/HfOx devices: 30 states, symmetry point 5 % from the center.

    - More than 30 states; 5 %; 20 to 115 uS [S]. The direction is not told: down steeper, as in the array [D], which
      gives up = 0.9048 down, up_down = -0.0952, and dw_min = 0.0700 for 30 mean steps [D].

    Reference: T. Stecconi et al., Nano Lett. 24(3), 866, 2024, doi 10.1021/acs.nanolett.3c03697.
    """
    numbers: dict[str, Any] = {"dw_min": 0.07, "up_down": -0.0952, "g_min": 20e-6, "g_max": 115e-6}
    return SoftBounds(**(numbers | changes))


def mo_tiox(**changes: Any) -> LinearStep:
    """Mo/TiOx RRAM of the hybrid synapse: 50 states of equal steps.

    - 50 states [S]; dw_min = 2/50 [D]. Equal steps, because a pair of such devices reaches the published accuracy and
      soft bounds do not [D]; `gamma_up=1, gamma_down=1` bends them to soft bounds. Range of conductances [R].

    Reference: W. Choi, M. Kwak, S. Kim and H. Hwang, Front. Neurosci. 15:690418, 2021, doi 10.3389/fnins.2021.690418.
    """
    numbers: dict[str, Any] = {"dw_min": 2 / 50}
    return LinearStep(**(numbers | changes))


_US = 1e-6
# Time after writing [s]: ascending coefficients [uS].
_WAN = {
    1.0: (0.348, 16.030, -43.853, 45.393, -16.815),
    86_400.0: (0.701, 22.086, -50.773, 47.095, -16.458),
    172_800.0: (0.782, 20.274, -43.507, 37.062, -11.934),
}
# Accepted error of write-verify: ascending coefficients [uS], of g in uS.
_CMO = {0.002: (0.00081107, 0.00106879), 0.02: (0.0112185391, 0.01129027418)}


def wan_2022(seconds: float = 1.0) -> ProgrammingNoise:
    """HfOx RRAM of the NeuRRAM chip, 1 s, a day or two days after writing: relaxation of up to 4 uS in 40 uS.

    - Polynomials of fourth order in g/40 uS, one for each of the three times [S], `ReRamWan2022NoiseModel` of aihwkit
      1.1.0 (aihwkit/inference/noise/reram.py), which were read off the published figures there.

    Raises:
        ValueError: another time.

    Reference: W. Wan et al., "A compute-in-memory chip based on resistive random-access memory", Nature 608, 504, 2022,
        doi 10.1038/s41586-022-04992-8, Extended Data Fig. 3.
    """
    return _noise_of(_one_of(_WAN, seconds, "seconds"), 40 * _US, (0.0, 40 * _US))


def wan_2022_cubic() -> ProgrammingNoise:
    """The same arrays after 1 s in another fit: sigma = 1.053 + 0.2374 g - 0.01167 g^2 + 1.536e-4 g^3, g in uS [S].

    Up to 39.26 uS, CrossSim (github.com/sandialabs/cross-sim). From 3 to 36 uS it says what `wan_2022` says and up to
    30 % more, at 0 three times as much [D].

    Reference: as for `wan_2022`.
    """
    return _noise_of((1.053, 0.2374, -1.167e-2, 1.536e-4), _US, (0.0, 39.26 * _US))


def cmo_written(acceptance: float = 0.002) -> ProgrammingNoise:
    """CMO/HfOx ReRAM after write-verify that accepts an error of 0.2 % or 2 % of the target; 10 nS to 1 uS.

    - Straight lines in g for both [S], `ReRamCMONoiseModel` of aihwkit 1.1.0, where 0.2 % is what every value but the
      number 2 leads to; 9 to 88.2 uS [S]. Drift after that is in `cmo_reram`.

    Raises:
        ValueError: another acceptance.

    Reference: D. F. Falcone et al., "All-in-One Analog AI Hardware", Adv. Funct. Mater. 2025,
        doi 10.1002/adfm.202504688.
    """
    return _noise_of(_one_of(_CMO, acceptance, "acceptance"), _US, (9 * _US, 88.2 * _US))


def _noise_of(micro: tuple[float, ...], g_unit: float, window: tuple[float, float]) -> ProgrammingNoise:
    return ProgrammingNoise(jnp.asarray([c * _US for c in micro]), g_unit, *window)


def _one_of(known: dict[float, tuple[float, ...]], value: float, name: str) -> tuple[float, ...]:
    if value not in known:
        numbers = ", ".join(f"{x:g}" for x in known)
        raise ValueError(f"Argument `{name}` must be one of {numbers}, which were measured, but is {value!r}.")
    return known[value]
