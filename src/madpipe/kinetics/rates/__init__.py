"""Rates of a kinetic scheme from a series of curves."""
