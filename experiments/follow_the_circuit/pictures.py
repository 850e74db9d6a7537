"""Picture of the result: `python -m experiments.follow_the_circuit.pictures` draws it anew from the committed result."""

from pathlib import Path

from experiments._record import FOLDER, read_result
from qsynapse_jax.studies import Record


def draw(record: Record, folder: Path) -> None:
    """Training loss after every epoch, followed and exact, a panel per setting; the seeds' mean."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    names = list(dict.fromkeys(name.split("/")[0] for name in record.data))
    figure = Figure(figsize=(3.2 * len(names), 3.2), layout="constrained")
    for panel, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for way, style in (("exact", {"color": "0.6", "lw": 4}), ("followed", {"color": "tab:green", "marker": "."})):
            loss = record.data[f"{name}/{way}/loss"].mean(0)
            panel.plot(range(1, len(loss) + 1), loss, label=way, **style)
        data, *_, word, bit, _ = ["", *name.split("_")][1:]
        panel.set(title=f"{data}, {word} / {bit} ohm", xlabel="epoch", yscale="log")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.axes[0].set_ylabel("training loss")
    figure.axes[0].legend()
    figure.savefig(folder / "follow_the_circuit.png", dpi=130)


if __name__ == "__main__":
    draw(read_result("follow_the_circuit"), FOLDER / "follow_the_circuit")
