"""A study of the tests, small enough to be compiled in no time: noise on a line, whose length is its shape."""

import dataclasses
import os
import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from qsynapse_jax import sweep
from qsynapse_jax._fields import Model, Scalar, natural, non_negative, positive, real, whole


class Wire(Model):
    r_segment: Scalar = real("ohm", non_negative, default=1.0)


class Line(Model):
    cells: int = whole(1, default=3)
    kind: str = eqx.field(default="plain", static=True)
    wire: Wire = eqx.field(default_factory=Wire)
    gain: Scalar = real("", positive, default=1.0)
    seed: Any = natural(default=0)


def line(point):
    drop = point.wire.r_segment * jnp.arange(1.0, point.cells + 1)
    noise = jax.random.normal(jax.random.key(point.seed), (point.cells,))
    sign = {"plain": 1.0, "mirrored": -1.0}[point.kind]
    return {
        "drop": sweep.Labelled(sign * point.gain * drop + noise, ("cell",), "V", "voltage along the line"),
        "total": sign * jnp.sum(point.gain * drop),
        "count": sweep.Labelled(jnp.int32(point.cells) + point.seed, unit=""),
        "too_far": sweep.Check(point.gain > 50, "The gain is beyond 50; give a smaller one."),
    }


def fragile(point):
    """Raises while it runs where the gain is 7, and cannot even be traced with 5 cells."""
    if point.cells == 5:
        raise ValueError("Five cells cannot be.")
    return {"y": eqx.error_if(point.gain, point.gain == 7, "Seven is an odd gain.")}


def quick(point):
    """As little as can be compiled."""
    return {
        "y": sweep.Labelled(point.gain * jnp.arange(1.0, point.cells + 1), ("cell",)),
        "too_far": sweep.Check(point.gain > 50, "The gain is beyond 50."),
    }


WEATHER = {"bad": True}


def moody(point):
    """Fails at odd seeds, and with 4 cells not even gives a hint, while the weather is bad."""
    if WEATHER["bad"] and point.cells == 4:
        raise ValueError("Nobody goes out.")
    wet = WEATHER["bad"] & (point.seed % 2 == 1)
    return {"y": point.gain * point.seed, "dry": sweep.Check(wet, "It rains.")}


MOODY = sweep.Study(moody, Line)
LINE = sweep.Study(line, Line)
QUICK = sweep.Study(quick, Line)
FRAGILE = sweep.Study(fragile, Line)


def slow(point):
    """As `line`, with some 20 ms for every batch; of the kind "deadly" the process that computes it ends."""

    def wait(gain):
        time.sleep(0.02)
        if point.kind == "deadly":
            os._exit(9)
        return gain

    gain = jax.pure_callback(wait, jax.ShapeDtypeStruct((), point.gain.dtype), point.gain, vmap_method="expand_dims")
    plain = dataclasses.replace(point, kind="plain", gain=gain)
    return line(plain)


SLOW = sweep.Study(slow, Line)
