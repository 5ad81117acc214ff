"""Kinetic schemes: from text to concentrations in time."""
