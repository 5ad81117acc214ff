"""The network: its design, curves to train it with, training, its answer to a curve, its scores on held-out ones."""
