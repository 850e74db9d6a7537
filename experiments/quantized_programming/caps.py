"""How much of the pulse statistics is the cap: `python -m experiments.quantized_programming.caps`."""

import dataclasses

import numpy as np

from experiments.quantized_programming._writing import SCHEMES, pulse_statistics

SEEDS = (0, 1, 2)
# Far above every published count.
LOOSE = {"fppv_2_bits": 10_000, "ispp_2_bits": 1000, "range_adapting_2_bits": 1000, "fppv_3_bits": 10_000}


def main(cells: int = 32_768) -> None:
    """Prints mean and p99 of the pulses and the share of successes, with the caps in use and with loose ones."""
    loose = {
        name: (dataclasses.replace(scheme, max_pulses=LOOSE[name]), bits) for name, (scheme, bits) in SCHEMES.items()
    }
    print(f"{'':24}{'cap':>8}{'mean':>10}{'p99':>10}{'success':>10}")
    for schemes in (SCHEMES, loose):
        runs = [pulse_statistics(cells, seed, schemes) for seed in SEEDS]
        for name, (scheme, _) in schemes.items():
            mean, p99, success = (np.mean([run[name][key] for run in runs]) for key in ("mean", "p99", "success"))
            print(f"{name:24}{scheme.max_pulses:8}{mean:10.2f}{p99:10.1f}{success:10.3f}")


if __name__ == "__main__":
    main()
