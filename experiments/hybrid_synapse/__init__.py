"""The hybrid synapse: one weight on a coarse and a fine array, trained in place on MNIST."""
