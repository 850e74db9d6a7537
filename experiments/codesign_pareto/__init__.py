"""What a good array costs: error against read power and area, resistors and wire widths found together."""
