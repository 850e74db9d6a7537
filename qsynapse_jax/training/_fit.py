"""Training with Adam, epoch by epoch, measured, reported and kept on disk."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx
from jaxtyping import PRNGKeyArray

from qsynapse_jax._fields import as_whole, check, positive
from qsynapse_jax.training._checkpoint import differences, digest, has_checkpoint, read, told, write
from qsynapse_jax.training._data import check_samples
from qsynapse_jax.training._epoch import checked_epoch
from qsynapse_jax.training._follow import FOLLOW, Follow
from qsynapse_jax.training._loop import DivergedError, OnStep
from qsynapse_jax.training._measures import accuracy, cross_entropy
from qsynapse_jax.training._state import Loss, State, init
from qsynapse_jax.training.rules import AbstractRule


@dataclass(frozen=True)
class Epoch:
    """Figures at the end of an epoch: its mean training loss, the accuracy on held-out data in [0, 1], and more."""

    number: int
    loss: float
    accuracy: float
    measured: Mapping[str, float] = field(default_factory=dict)


def fit(
    model: nnx.Module,
    train: tuple[Any, Any],
    test: tuple[Any, Any],
    *,
    key: PRNGKeyArray,
    epochs: int = 10,
    batch_size: int = 64,
    learning_rate: float = 3e-3,
    rule: optax.GradientTransformation | AbstractRule | None = None,
    digital: optax.GradientTransformation | None = None,
    wrt: Any = nnx.Param,
    loss: Loss = cross_entropy,
    on_step: OnStep | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    measure: Callable[[State], Mapping[str, float]] | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 0.0,
    resume: bool = False,
    refresh: Follow | str = FOLLOW,
) -> list[Epoch]:
    """Trains `model` in place with Adam and a cosine decay of the learning rate.

    Args:
        model: any NNX model of logits; after an error it is as after the last complete epoch.
        train: inputs (n, ...) and labels (n,).
        test: likewise; only measured, in evaluation mode.
        key: order of the training samples.
        epochs: passes over the training set, at least 1. In each the last incomplete batch is left out, another
            one every time.
        batch_size: samples per step, cut down to the training set.
        learning_rate: of Adam at the start; it falls to 1 % of it.
        rule: moves the parameters in the place of Adam, whose `learning_rate` then means nothing; as for `init`.
        digital: as for `init`.
        wrt: which variables are trained, as for `init`.
        loss: as for `init`.
        on_step: called for every step with its number in the whole run and its loss, a tenth of a second or one step
            late; what it raises ends the epoch after the piece that has run by then.
        on_epoch: called after every epoch with its record, e.g. `CsvLog("run.csv")`.
        measure: what else is measured of the state after every epoch, by name, for `Epoch.measured`.
        checkpoint: folder for a checkpoint after every epoch; the newest two are kept.
        checkpoint_seconds: least time from one checkpoint to the next [s], each of which takes about 50 ms; the last
            epoch always has one, and so has the one before an epoch that diverges.
        resume: continue from the newest checkpoint there, where there is one. The end is the same to the last bit, on
            the same machine, as without interruption.
        refresh: how closely circuits behind wires are followed, as for `init`; the model is always measured exactly.

    Returns:
        One record per epoch, those before an interruption included.

    Raises:
        ValueError: samples as `epoch` refuses them; sizes below 1; a learning rate that is not positive; `resume`
            without a folder, or a used folder without `resume`; a checkpoint of another run, with what differs.
        DivergedError: as `epoch`.
    """
    epochs, batch_size = as_whole(epochs, "epochs", 1), as_whole(batch_size, "batch_size", 1)
    check(learning_rate, "learning_rate", "", positive)
    steps = epochs * max(1, (np.shape(train[0]) or (0,))[0] // batch_size)
    moved = _adam(float(learning_rate), steps) if rule is None else rule
    state = init(model, moved, key=key, wrt=wrt, loss=loss, digital=digital, refresh=refresh)
    x, y = check_samples(*train, state, batch_size, "train")
    if np.ndim(test[0]) > 1 and np.shape(test[0])[1:] != x.shape[1:]:
        raise ValueError(
            f"Inputs of `test` must have the shape of those of `train`, (n, {', '.join(map(str, x.shape[1:]))}), but "
            f"have shape {np.shape(test[0])}."
        )
    x_test, y_test = check_samples(*test, state, batch_size, "test")
    history: list[Epoch] = []
    config = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": float(learning_rate) if rule is None else None,
    }
    if checkpoint is not None:
        config |= {"key": digest(jax.random.key_data(key)), "train": digest(x, y), "test": digest(x_test, y_test)}
        state, history = _begin(state, checkpoint, resume, config)
    elif resume:
        raise ValueError("Argument `checkpoint` must be a folder where `resume` is asked for, but is None.")
    _move(model, state)
    kept, written = len(history), time.monotonic()

    def keep() -> None:
        if checkpoint is not None and len(history) > kept:
            write(state, checkpoint, {"config": config, "history": [asdict(record) for record in history]})

    while len(history) < epochs:
        try:
            state, metrics = checked_epoch(state, x, y, batch_size, on_step)
        except DivergedError:
            keep()
            raise
        _move(model, state)
        share = float(accuracy(model, x_test, y_test))
        measured = {} if measure is None else dict(measure(state))
        history.append(Epoch(len(history) + 1, float(metrics.loss), share, measured))
        if time.monotonic() - written >= checkpoint_seconds or len(history) == epochs:
            keep()
            kept, written = len(history), time.monotonic()
        if on_epoch is not None:
            on_epoch(history[-1])
    return history


@lru_cache
def _adam(learning_rate: float, steps: int) -> optax.GradientTransformation:
    """One object for equal settings: a new one would be compiled anew."""
    return optax.adam(optax.cosine_decay_schedule(learning_rate, steps, alpha=0.01))


def _begin(state: State, folder: str | Path, resume: bool, config: dict[str, Any]) -> tuple[State, list[Epoch]]:
    """Where the run begins: at its newest checkpoint, or where it stands."""
    if not has_checkpoint(folder):
        return state, []
    if not resume:
        raise ValueError(
            f"Folder {folder} holds a checkpoint; continue that run with `resume=True`, or give another folder."
        )
    state, extra = read(folder, state)
    stored = extra.get("config", {})
    if lines := differences(stored, config):
        raise ValueError(f"Folder {folder} holds the checkpoint of another run of `fit`:\n" + told(lines))
    return state, [Epoch(**record) for record in extra["history"]]


def _move(model: nnx.Module, state: State) -> None:
    """Gives the model the variables of the state."""
    nnx.update(model, *jax.tree.map(lambda leaf: leaf, (state.parameters, state.rest)))
