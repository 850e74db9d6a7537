"""One network on the four systems: accuracy, time and energy of writing, energy of a read, ten years."""
