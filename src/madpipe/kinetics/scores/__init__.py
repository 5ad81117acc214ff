"""Scores of answers against the truth, and of methods on many draws."""
