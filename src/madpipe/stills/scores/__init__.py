"""Scores of methods against truths."""
