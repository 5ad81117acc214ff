"""Rocking curves of strained layers: strain and disorder against depth."""
