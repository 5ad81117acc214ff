"""Still images of crystals: from pixels to merged intensities."""
