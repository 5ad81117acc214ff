"""An implanted layer, its scan and its measured curve."""
