"""The network: from a curve to the probabilities of its shapes, its parameters, and whether it is of another kind."""
