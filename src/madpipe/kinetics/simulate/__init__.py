"""Series of curves of which everything is known: species, concentrations, drifts and noise."""
