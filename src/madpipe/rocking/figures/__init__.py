"""Figures of one curve, and of the network."""
