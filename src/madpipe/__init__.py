"""madpipe: reproducible inverse problems with X-rays; the flagship study is multi-wavelength anomalous diffraction."""
