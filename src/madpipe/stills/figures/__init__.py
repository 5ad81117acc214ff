"""Figures of still images: of a set, and of methods side by side."""
