"""Small-angle scattering with anomalous contrast."""
