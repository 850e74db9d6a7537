"""LeNet-5 on devices of 10 states: three, four and six arrays per matrix that learn each other's residual."""
