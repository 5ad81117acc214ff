"""The network that finds where a fit begins, and the learned partiality."""
