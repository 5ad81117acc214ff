"""Frames at which the law of change of a series changes."""
