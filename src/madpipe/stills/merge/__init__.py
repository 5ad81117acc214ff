"""One intensity for each reflection of many stills, how far it can be trusted, and files for other programs."""
