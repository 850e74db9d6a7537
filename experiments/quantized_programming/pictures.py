"""Pictures of the committed result: `python -m experiments.quantized_programming.pictures`."""

from pathlib import Path

from experiments._record import FOLDER, read_result
from experiments.quantized_programming._technologies import NAMES
from experiments.quantized_programming._writing import CORNER, PUBLISHED_PULSES
from qsynapse_jax import plot
from qsynapse_jax.studies import Record


def draw(record: Record, folder: Path) -> None:
    """Map of the speed-up, and accuracy against time since programming, from the data of a record."""
    data = record.data
    picture = plot.speed_up(
        *(data[f"speed_up/{name}"] for name in ("n_verify", "t_iteration", "t_switch", "log10")),
        corner=(CORNER["n_verify"], CORNER["t_iteration"], CORNER["t_switch"]),
        published=[count for pair in PUBLISHED_PULSES.values() for count in pair],
    )
    picture.savefig(folder / "speed_up.png", dpi=110)
    accuracy = {label: data["retention/accuracy"][:, number] for number, label in enumerate(NAMES.values())}
    picture = plot.retention(accuracy, data["retention/seconds"], data["retention/celsius"])
    picture.savefig(folder / "retention.png", dpi=110)


if __name__ == "__main__":
    draw(read_result("quantized_programming"), FOLDER / "quantized_programming")
