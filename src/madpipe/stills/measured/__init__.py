"""Files in and out: images, crystals and reference intensities."""
