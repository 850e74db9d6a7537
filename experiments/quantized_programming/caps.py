"""How much of the pulse statistics is the cap: `python -m experiments.quantized_programming.caps`."""

import numpy as np

from experiments.quantized_programming._writing import CAPS, pulse_statistics

SEEDS = (0, 1, 2)
# Far above every published count.
LOOSE = {"fppv_2_bits": 10_000, "ispp_2_bits": 1000, "range_adapting_2_bits": 1000, "fppv_3_bits": 10_000}


def main(cells: int = 32_768) -> None:
    """Prints mean and p99 of the pulses and the share of successes, with the caps in use and with loose ones."""
    print(f"{'':24}{'cap':>8}{'mean':>10}{'p99':>10}{'success':>10}")
    for caps in (CAPS, LOOSE):
        runs = [pulse_statistics(cells, seed, caps) for seed in SEEDS]
        for name, cap in caps.items():
            mean, p99, success = (np.mean([run[name][key] for run in runs]) for key in ("mean", "p99", "success"))
            print(f"{name:24}{cap:8}{mean:10.2f}{p99:10.1f}{success:10.3f}")


if __name__ == "__main__":
    main()
