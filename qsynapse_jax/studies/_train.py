"""Training within a study, and what a study tells while it works."""

from collections.abc import Callable, Mapping
from typing import Any

import jax

from qsynapse_jax.datasets import Dataset
from qsynapse_jax.studies._store import EPOCHS, RunFolder
from qsynapse_jax.training import CsvLog, Epoch, Follow, State, fit

FOLLOW = Follow()

# Work that a killed run loses at most, besides the epoch it is in; a checkpoint per epoch would cost the demo 10 %.
_CHECKPOINT_SECONDS = 5.0


class Progress:
    """Who listens to a study: three calls, in this order, as often as the study likes. This one ignores them."""

    def stage(self, name: str, total: int) -> None:
        """A stage of `total` steps begins."""

    def step(self, number: int, loss: float | None = None) -> None:
        """Of this stage `number` steps are done; `loss` is what the last one found."""

    def measured(self, what: str, loss: float | None, metric: str = "") -> None:
        """The stage has come to a point worth a line, e.g. "epoch 3", a loss if it has one, "test 97.40 %"."""


def train(
    network: Any,
    data: Dataset,
    progress: Progress,
    *,
    title: str,
    name: str,
    run: RunFolder | None,
    seed: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    refresh: Follow | str = FOLLOW,
    rule: Any = None,
    digital: Any = None,
    measure: Callable[[State], Mapping[str, float]] | None = None,
    told: Callable[[Epoch], str] = lambda epoch: f"test {100 * epoch.accuracy:.2f} %",
) -> list[Epoch]:
    """Trains a network in place, from a checkpoint where an interrupted run left one; `told` is said of an epoch.

    Checkpoints of the network `name` and a line per epoch go into the folder of the run, if there is one.
    """
    if epochs == 0:
        return []
    checkpoint = None if run is None else run.checkpoints / name
    log = None if run is None else CsvLog(run.folder / EPOCHS, resume=True, network=name)

    def listen(epoch: Epoch) -> None:
        if log is not None:
            log(epoch)
        progress.measured(f"epoch {epoch.number}", epoch.loss, told(epoch))

    progress.stage(title, epochs * max(1, len(data.x_train) // batch_size))
    return fit(
        network,
        data.train,
        data.test,
        key=jax.random.key(seed),
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        rule=rule,
        digital=digital,
        on_step=progress.step,
        on_epoch=listen,
        measure=measure,
        checkpoint=checkpoint,
        checkpoint_seconds=_CHECKPOINT_SECONDS,
        resume=checkpoint is not None,
        refresh=refresh,
    )
