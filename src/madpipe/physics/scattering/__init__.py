"""Scattering of particles in solution at small angles: pure functions on tensors."""
