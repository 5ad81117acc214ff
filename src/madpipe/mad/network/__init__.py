"""The network: its design, training and calibration, and how counts correct what it predicts."""
