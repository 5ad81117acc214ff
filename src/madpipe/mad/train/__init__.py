"""Training of the reference network."""
