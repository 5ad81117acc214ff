"""Images made from a scene, with Poisson noise."""
