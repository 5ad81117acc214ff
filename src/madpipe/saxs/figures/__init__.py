"""Figures of small-angle scattering."""
