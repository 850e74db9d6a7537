"""`qsynapse insitu`: a network that learns inside its arrays, with its table and its pictures."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from qsynapse_jax import plot
from qsynapse_jax.cli._cache import Cache
from qsynapse_jax.cli._run import Output, run_study
from qsynapse_jax.studies import InsituConfig, InsituResult, run_insitu

_COLORS = {"float": "0.45", "insitu": "tab:green"}


@dataclass(frozen=True)
class Insitu:
    """Train a network inside its arrays, by pulses on devices, and compare it with the same one in software."""

    config: Annotated[InsituConfig, tyro.conf.arg(name="")] = field(default_factory=InsituConfig)
    output: Annotated[Output, tyro.conf.arg(name="")] = field(default_factory=lambda: Output(Path("runs/insitu")))
    cache: Annotated[Cache, tyro.conf.arg(name="")] = field(default_factory=Cache)

    def run(self, console: Console) -> None:
        elsewhere = f"Its table is in {self.output.out / 'result.json'}."
        run_study("insitu", run_insitu, self.config, self.output, console, report=_draw, elsewhere=elsewhere)


def _draw(result: InsituResult, folder: Path) -> list[str]:
    """The pictures of a run; its table says all that is to say."""
    config, rows, panels = result.config, result.ROWS, {}
    paths = list(dict.fromkeys(key.rpartition("/")[0] for key in result.weights))
    for number, name in enumerate(config.array_names):
        for place, path in enumerate(paths, 1):
            first, last = (result.weights[f"{path}/{when}"][number] for when in ("first", "last"))
            matrix = f"matrix {place} of {len(paths)}, {first.shape[0]} x {first.shape[1]}"
            panels["\n".join(filter(None, [matrix, name]))] = first, last
    pictures = {
        "accuracy": plot.accuracy(
            {rows[name]: [100 * e.accuracy for e in epochs] for name, epochs in result.histories.items()},
            title=f"{config.dataset}, learnt by {config.rule} on {config.device} devices, and in software",
            colors={rows[name]: color for name, color in _COLORS.items()},
        ),
        "weights": plot.weight_histograms(panels, bounds=result.bounds, rows=len(config.array_names)),
        "pulses": plot.pulse_response(
            result.response["pulses"],
            result.response["g"],
            title=f"How {config.device} devices answer to pulses, {result.response['g'].shape[1]} as fabricated",
        ),
    }
    for name, picture in pictures.items():
        picture.savefig(folder / f"{name}.png", dpi=150)
    return []
