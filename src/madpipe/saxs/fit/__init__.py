"""Fits of models to curves: linear parts eliminated, errors from the curves' information, models compared."""
