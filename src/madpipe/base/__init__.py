"""What moves and measures: files, provenance, configuration, training loop, metrics, plots. It knows no physics."""
