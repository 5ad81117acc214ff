"""Fit of a model to curves at several photon energies near an absorption edge: sizes and compositions."""
