"""Figures of the study: fits of one curve and of energy series, size distributions, Guinier's law, the network."""
