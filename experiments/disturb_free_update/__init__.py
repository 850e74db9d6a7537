"""The CMO/HfOx ReRAM: half-select disturbance in parallel updates, and a rule that lives with few states."""
