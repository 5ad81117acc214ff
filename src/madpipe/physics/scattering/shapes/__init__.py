"""Shapes of particles: what each is made of, and the registry of all."""
