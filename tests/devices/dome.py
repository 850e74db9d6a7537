"""The equations of the CMO dome as their source prints them, solved by SciPy: nothing is shared with the package."""

from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

Q, KB = 1.60219e-19, 1.38062e-23
HEAT, R_TH, AMBIENT = 2e-17, 1.4e6, 293.0  # J/K, K/W, K
R_SERIES, LENGTH = 219.2217 + 4, 12e-9


def tunnelling(c, v, i, t):
    """Current that the dome asks for at a current `i` through its series resistance."""
    a = max(2e-9, 3.6369e-9 - 3.0738e-35 * c)
    field = (v - i * R_SERIES) / LENGTH
    barrier = 1.275579007691538e-20 - 3.697330457076916e-47 * c
    flow = np.pi * 11e-9**2 * 1.44 * Q * c * a * 2e13
    return flow * np.exp(-barrier / (KB * t)) * 2 * np.sinh(Q * field * a / (2 * KB * t))


def hopping(c, v, i, t):
    """dC/dt [m^-3/s]."""
    field = (v - i * R_SERIES) / LENGTH
    barrier = 1.499179468667143e-19 + 2.288823616285713e-45 * c if v >= 0 else 1.18 * Q
    drift = 2 * np.sinh(2 * Q * field * 1e-9 / (2 * KB * t))
    return 1e-9 / LENGTH * c * 4e12 * np.exp(-barrier / (KB * t)) * drift * (1 - c / 1e28) ** 10


@dataclass
class Dome:
    """`thermal` follows the temperature by its own equation; otherwise it is that of the moment."""

    thermal: bool = False

    def current(self, c, v, t=None):
        """Current [A]; at a temperature `t` [K] if one is given."""
        if v == 0:
            return 0.0

        def excess(i):
            return tunnelling(c, abs(v), i, AMBIENT + R_TH * abs(v) * i if t is None else t) - i

        return np.sign(v) * brentq(excess, 0, abs(v) / R_SERIES, xtol=1e-30, rtol=np.float64(1e-14))

    def rates(self, c, v, t):
        i = self.current(c, v, t if self.thermal else None)
        t = t if self.thermal else AMBIENT + R_TH * v * i
        return hopping(c, v, i, t), v * i / HEAT - (t - AMBIENT) / (R_TH * HEAT), v * i

    def after(self, c, times, volts, rtol=1e-8):
        """Density [m^-3] and energy [J] after straight lines of voltage from point to point."""
        t, energy = AMBIENT, 0.0
        for a, b, v_a, v_b in zip(times[:-1], times[1:], volts[:-1], volts[1:], strict=True):
            span = b - a

            # In units of the span, of the density, of 1000 K and of what 1 mA at 1 V spends.
            def slope(s, y, v_a=v_a, v_b=v_b, span=span, c=c):
                v = v_a + (v_b - v_a) * s
                dc, dt, power = self.rates(np.exp(y[0]) * c, v, 1e3 * y[1])
                dt = dt / 1e3 if self.thermal else 0.0
                return span * np.array([dc / (np.exp(y[0]) * c), dt, power / (1e-3 * span)])

            found = solve_ivp(slope, (0, 1), [0.0, t / 1e3, 0.0], method="Radau", rtol=rtol, atol=1e-10)
            assert found.success, found.message
            end = found.y[:, -1]
            c, t, energy = c * np.exp(end[0]), 1e3 * end[1], energy + end[2] * 1e-3 * span
        return c, energy
