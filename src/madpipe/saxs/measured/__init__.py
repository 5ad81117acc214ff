"""Measured curves, as the commands of this study take them."""
