"""Numbers of technologies with their sources. Tags: [S] read in the source, [D] derived from it, [R] field lore."""

from typing import Any

from qsynapse_jax.devices._cmo import CmoFilament
from qsynapse_jax.devices._filament import GatedFilament
from qsynapse_jax.devices._retention import Retention
from qsynapse_jax.devices._switch import Switch

# [R] Filamentary HfO2-class cells: 1.0 eV and a drift of some per mille per factor of e in time. [D] The spread is what
# 30 minutes at 80 C did to multi-level cells: standard deviations of 4 to 27 uS over 0 to 300 uS, about 10 % of R
# (github.com/akashlevy/RRAM-RADAR-Tuning, exptdata/retention/results/relaxation-sigma.csv [S]); with tau = 1 s and
# 1.0 eV those 30 minutes are ln(1 + t_eq/tau) = 13.3, and 0.1/13.3 = 0.0075.
_ON = {"nu": 0.002, "spread": 0.0075, "tau": 1.0, "activation_energy": 1.0}
# [R] An open filament moves more than a closed one, and towards it.
_OFF = {"nu": -0.005, "spread": 0.01, "tau": 1.0, "activation_energy": 1.0}


def digital_switch(*, r_off: float = 1e6, **changes: Any) -> Switch:
    """Two-level RRAM cell as the switch of a quantized synapse.

    - r_on 5 kohm, r_off 80 kohm at least: lowest and highest target band of 2 bits per cell [S], RADAR data files; pass
      `r_off=80e3` for that worst case. 1 Mohm is what most cells of those files reach after one reset [D].
    - 1.5 V, 1 us set and reset [S], pyxbar defaults; 1.5^2/5e3 * 1 us = 0.45 nJ per set, and as much per
      reset [D]; nothing switches below 1.0 V [R].
    - spreads 10 % (on) and 50 % (off) from device to device, 5 % and 50 % from write to write [R]; p_fail 1e-3 [R];
      1e-4 stuck of either kind [R]; endurance 1e6 pulses within a factor of 3 [R]; retention above.

    Reference: pyxbar, github.com/akashlevy/pyxbar; B. Q. Le et al., "RADAR: A fast and energy-efficient programming
        technique for multiple bits-per-cell RRAM arrays", IEEE Trans. Electron Devices 68, 4397, 2021,
        doi 10.1109/TED.2021.3097975.
    """
    numbers: dict[str, Any] = {"r_on": 5e3, "r_off": r_off}
    numbers |= {"t_set": 1e-6, "t_reset": 1e-6, "t_read": 1e-7, "e_set": 4.5e-10, "e_reset": 4.5e-10, "e_read": 8e-13}
    numbers |= {"sigma_on_device": 0.1, "sigma_off_device": 0.5, "sigma_on_cycle": 0.05, "sigma_off_cycle": 0.5}
    numbers |= {"p_fail": 1e-3, "stuck_on": 1e-4, "stuck_off": 1e-4, "endurance": 1e6, "endurance_spread": 1.0}
    numbers |= {"on_retention": Retention(**_ON), "off_retention": Retention(**_OFF)}
    return Switch(**(numbers | changes))


def analog_rram(**changes: Any) -> GatedFilament:
    """Multi-level RRAM cell fitted to the pulse statistics of the RADAR data.

    - Median resistance after a set pulse against gate voltage, exptdata/sweeps/results/fppv1.csv [S], 1.5 to 4.0 V:
      r_series + 1/(g_m (v - v_t)) with 3.8 kohm, 1 mS/V, 2.0 V follows it within 15 % [D].
    - One log-normal spread of the filament, 0.5 of devices and 0.5 of filaments, and 0.25 of pulses, gives the hit
      rates of fixed pulses in narrow bands at 5.9 and 8.9 kohm [D].
    - Open filaments: median 300 kohm, spread 2.0 of devices: a fifth of the cells does not reach 80 kohm within the
      resets allowed, which is most of what the data files count as failed [D]; 1.3 % no reset opens [D].
    - 200 ns pulses at 2 V [S], file names; 1 us and 0.2 V for a read [R]; read noise 0.4 % [R]; a gate voltage of 4 V
      for a full reset [R].

    Reference: as for `digital_switch`; data at github.com/akashlevy/RRAM-RADAR-Tuning, exptdata/.
    """
    numbers: dict[str, Any] = {"g_m": 1e-3, "v_t": 2.0, "r_series": 3.8e3, "r_hrs": 3e5, "r_leak": 1.2e6}
    numbers |= {"sigma_device": 0.5, "sigma_cycle": 0.5, "sigma_pulse": 0.25, "sigma_hrs": 2.0, "sigma_hrs_cycle": 0.5}
    numbers |= {"sigma_read": 0.004, "stuck": 0.013, "retention": Retention(**_ON)}
    return GatedFilament(**(numbers | changes))


def cmo_reram(**changes: Any) -> CmoFilament:
    """CMO/HfOx ReRAM cell of an array: the compact model with what arrays add to it.

    - spread 0.18 of the step from device to device [S2]: Choi et al., as they train with it; here of the speed of the
      vacancies, to which a step is proportional [D].
    - drift: mean -0.089 uS and spread 0.042 uS per factor of e in time [S], code of the inference model, of any
      conductance; at the symmetry point, 55 uS, that is 0.0016 and 0.00076 of ln R [D]; tau 1 s and 1.0 eV [R].
    - read noise 0.34 % [D]: 0.0277 log10(g) sqrt(ln(t/2 us)) uS of the same code at 55 uS and 1 s, 0.17 uS.

    Reference: as for `CmoFilament`; Choi et al., Adv. Sci. 13(4), 2026, doi 10.1002/advs.202504578; Falcone et al.,
        Adv. Funct. Mater. 2025, doi 10.1002/adfm.202504688, and `ReRamCMONoiseModel` of github.com/IBM/aihwkit.
    """
    retention = Retention(nu=0.0016, spread=0.00076, tau=1.0, activation_energy=1.0)
    numbers: dict[str, Any] = {"sigma_speed": 0.18, "sigma_read": 0.0034, "retention": retention}
    return CmoFilament(**(numbers | changes))
