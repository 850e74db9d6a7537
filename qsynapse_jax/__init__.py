"""Differentiable simulator of resistive-memory crossbars and the networks that run on them."""

from qsynapse_jax import crossbar as crossbar
