"""Figures of the small-angle study."""
