"""Fits: of pixels, of spots, of reflections."""
