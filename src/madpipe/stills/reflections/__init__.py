"""Reflections of a still image: where they fall, how much is seen of each, what the pixels about them say."""
