"""The network: its design, curves to train it with, training, and its answer to a curve."""
