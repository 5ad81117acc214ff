"""Multi-wavelength anomalous diffraction of nanoparticles. Start reading in forward.py."""
