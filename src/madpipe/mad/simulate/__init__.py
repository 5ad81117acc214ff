"""A particle and the measurement of its Bragg peak, with the truth that made it."""
