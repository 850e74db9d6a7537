"""Resistors of the quantized synapse, found by gradient."""
