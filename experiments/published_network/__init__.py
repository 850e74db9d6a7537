"""A published network, trained through the wires that it was published for."""
