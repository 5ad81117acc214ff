"""Species of a series of curves: how many, their curves and concentrations, and how far these are determined."""
