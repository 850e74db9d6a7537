"""Two checks with known answers: the search against resistors that cancel the switches exactly."""

import jax
import jax.numpy as jnp

from qsynapse_jax.cells import Differential, Ladder, linearity
from qsynapse_jax.codesign import Bounded, binary_weighted, optimize

BITS, R_FIRST, R_ON = 5, 80e3, 5e3
R_OFF = {"r_off_infinite": float("inf"), "on_off_200": 200 * R_ON}


def closed_forms(seeds: tuple[int, ...], steps: int) -> dict[str, tuple[str, list[float]]]:
    """Largest relative distance of the resistors found from the closed form, and INL before and after, per seed.

    Every seed begins elsewhere, within a factor of 2 of R, 2R, 4R. The first resistor is given: INL does not know it.
    """
    first = jnp.asarray([R_FIRST])
    plain = R_FIRST * 2.0 ** jnp.arange(BITS)
    values: dict[str, tuple[str, list[float]]] = {}

    def cell(rest: jax.Array, r_off: float) -> Differential:
        return Differential(Ladder(BITS, None, R_ON, r_off, jnp.concatenate([first, rest])))

    for name, r_off in R_OFF.items():
        exact = binary_weighted(BITS, R_FIRST, R_ON, r_off)[1:]
        distances, left = [], []
        for seed in seeds:
            away = 2.0 ** jax.random.uniform(jax.random.key(seed), (BITS - 1,), minval=-1.0)
            start = Bounded(plain[1:] * away, plain[1:] / 4, plain[1:] * 4)
            found = optimize(lambda r, r_off=r_off: jnp.mean(linearity(cell(r, r_off)).inl ** 2), start, steps=steps)
            distances.append(float(jnp.max(jnp.abs(found.values / exact - 1))))
            left.append(float(linearity(cell(found.values, r_off)).worst_inl))
        before = float(linearity(cell(plain[1:], r_off)).worst_inl)
        values[f"resistors_found_against_closed_form_{name}"] = ("", distances)
        values[f"inl_found_{BITS}_bits_{name}"] = ("LSB", left)
        values[f"inl_of_plain_over_found_{BITS}_bits_{name}"] = ("", [before / inl for inl in left])
    return values
