"""How large an array may be: error against lines, wires and cells."""
