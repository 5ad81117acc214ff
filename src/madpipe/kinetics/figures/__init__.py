"""Figures of a series' answers, and of the evaluation."""
