"""The network: its design, curves to train it with, training, its answer to a curve, and its scores on held-out ones."""
