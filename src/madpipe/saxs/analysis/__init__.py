"""What curves tell without a model of the particle: radius of gyration, Porod's law, size distributions."""
