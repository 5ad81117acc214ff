"""A network that marks the events of a series frame by frame."""
