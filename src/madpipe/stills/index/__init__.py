"""Spots, orientation from a known cell, geometry refined on spot positions."""
