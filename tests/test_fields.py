"""A number is declared once: conversion, check, message and print come from its one line."""

import re
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qsynapse_jax._fields import (
    Model,
    Numbers,
    OptionalScalar,
    Scalar,
    as_quantity,
    checked,
    kelvin,
    non_negative,
    positive,
    positive_or_infinite,
    probability,
    quantity,
    real,
    reals,
    whole,
)
from tests.unchecked import unchecked


class Part(Model):
    r: Scalar = real("ohm", positive)
    g: Numbers = reals("S", non_negative, default=1e-6)
    p: Scalar = real("", probability, default=0.0)
    t: Scalar = real("K", kelvin, default=300.0)
    life: Scalar = real("pulses", positive_or_infinite, default=np.inf)
    extra: OptionalScalar = real("V", optional=True, default=None)
    bits: int = whole(1, 16, what="one per branch", default=3)


def test_numbers_of_every_kind_become_arrays():
    for given in (5, 5.0, np.int64(5), np.float32(5), jnp.asarray(5.0)):
        part = Part(given)
        assert isinstance(part.r, jax.Array)
        assert part.r == 5
        assert part.r.dtype == jnp.float32
    assert Part(1.0, np.ones(3, np.float32)).g.shape == (3,)
    four: Any = np.int64(4)
    assert Part(1.0, bits=four).bits == 4
    assert type(Part(1.0, bits=four).bits) is int


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"r": -1}, "Argument `r` must be positive and finite, but is -1 ohm."),
        ({"r": np.inf}, "Argument `r` must be positive and finite, but is inf ohm."),
        ({"r": np.nan}, "but is nan ohm."),
        ({"r": jnp.ones(2)}, "Argument `r` must be a scalar, but has shape (2,)."),
        ({"r": jnp.asarray([1])}, "Argument `r` must be a float32 or float64 array, but has dtype int32"),
        ({"r": "much"}, "Argument `r` must be an array of real numbers"),
        ({"r": None}, "Argument `r` must be"),
        ({"g": jnp.asarray([1.0, -2.0])}, "Argument `g` must be non-negative and finite, but g[1] = -2 S."),
        ({"p": 1.5}, "Argument `p` must be a probability from 0 to 1, but is 1.5."),
        (
            {"t": 25.0},
            "must be in kelvin and at least 200 K, but is 25 K; that looks like degrees Celsius: 25 C is 298.15",
        ),
        ({"life": 0.0}, "Argument `life` must be positive (infinity is allowed), but is 0 pulses."),
        ({"bits": 0}, "Argument `bits` must be an integer from 1 to 16, one per branch, but is 0."),
        ({"bits": True}, "but is True."),
        ({"bits": 2.0}, "but is 2.0."),
    ],
)
def test_a_broken_rule_names_the_field_the_rule_and_the_value(numbers, message):
    with unchecked(), pytest.raises(ValueError, match=re.escape(message)):
        Part(**{"r": 1.0, **numbers})


def test_traced_numbers_pass_and_carry_derivatives():
    assert jax.grad(lambda r: Part(r).r ** 2)(3.0) == 6.0
    assert jax.vmap(lambda r: Part(r))(jnp.ones(3)).r.shape == (3,)


def test_known_numbers_inside_a_trace_are_checked_as_such():
    def model(x):
        with pytest.raises(ValueError, match="but is -1 ohm"):
            Part(-1.0)
        return x * checked(300.0, "temperature", "K", kelvin)

    assert "callback" not in str(jax.make_jaxpr(model)(1.0))


def test_a_rule_is_checked_at_run_time_under_jit():
    @eqx.filter_jit
    def kept(t):
        return checked(t, "temperature", "K", kelvin)

    assert kept(jnp.asarray(300.0)) == 300
    with pytest.raises(eqx.EquinoxRuntimeError, match="Argument `temperature` must be in kelvin"):
        kept(jnp.asarray(25.0))


def test_it_prints_its_values_with_units():
    text = repr(Part(8e3, jnp.linspace(1e-6, 1e-4, 20)))
    assert text == "Part(r=8 kohm, g=(20,) from 1 uS to 100 uS, p=0, t=300 K, life=inf pulses, bits=3)"
    seen = []
    jax.jit(lambda r: seen.append(repr(Part(r))) or r)(1.0)
    assert seen[0].startswith("Part(r=traced float32[]")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (82e3, "ohm", "82 kohm"),
        (999.999, "ohm", "1 kohm"),
        (-0.2, "V", "-200 mV"),
        (0.0, "V", "0 V"),
        (float("inf"), "ohm", "inf ohm"),
        (1e-20, "S", "1e-05 fS"),
        (0.25, "", "0.25"),
        (300.0, "K", "300 K"),
    ],
)
def test_quantities_have_the_prefix_that_suits_them(value, unit, text):
    assert quantity(value, unit) == text


def test_a_number_may_come_with_its_unit():
    texts = {"50uS": 5e-5, " 4144 uS": 4.144e-3, "1e2nS": 1e-7, "5e-5": 5e-5, "-3S": -3.0, ".5mS": 5e-4}
    for text, value in texts.items():
        assert as_quantity(text, "g", "S") == value
    assert as_quantity(3, "g", "S") == 3.0
    for wrong in ("50us", "50u", "uS", "5 0uS", "nan", "", None, True):
        with pytest.raises(ValueError, match=r"^Argument `g` must be "):
            as_quantity(wrong, "g", "S")
    with pytest.raises(ValueError, match=r"must be in S, e\.g\. .*uS.*, but '50us' is in us"):
        as_quantity("50us", "g", "S")
