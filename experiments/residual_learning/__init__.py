"""LeNet-5 on devices of 10 states: one, two, three, four and six arrays per matrix."""
