"""What will a measurement at an edge determine? Standard errors before any photon is spent."""
