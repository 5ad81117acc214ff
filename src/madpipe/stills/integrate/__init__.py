"""Scale, falling off, orientation and geometry of still images, and the intensities they share."""
