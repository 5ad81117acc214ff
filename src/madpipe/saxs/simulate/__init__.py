"""Simulated curves: particles of any model, or of compositions at energies near an edge, with counting noise."""
