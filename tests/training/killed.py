"""A training run that ends itself by SIGKILL at a given time: `python -m tests.training.killed FOLDER SECONDS`."""

import os
import signal
import sys
import threading

import jax

import qsynapse_jax as qs
from tests.training.models import KEY, modal, samples


def run(folder=None, **options):
    """Forty epochs of a few milliseconds, with dropout and statistics of batches."""
    network = modal()
    history = qs.training.fit(
        network,
        samples(24),
        samples(8, seed=1),
        key=jax.random.fold_in(KEY, 7),
        epochs=40,
        batch_size=8,
        checkpoint=folder,
        **options,
    )
    return network, history


def main():
    folder, seconds = sys.argv[1], float(sys.argv[2])
    timers = []

    def on_epoch(record):
        # From the first epoch on: what takes longest before is the compiler.
        if not timers:
            timers.append(threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)))
            timers[0].daemon = True
            timers[0].start()

    run(folder, resume=True, on_epoch=on_epoch)


if __name__ == "__main__":
    main()
