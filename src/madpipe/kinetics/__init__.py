"""Series of small-angle curves in time."""
