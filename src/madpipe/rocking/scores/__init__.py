"""How good an answer is: against its curve, its truth, and on held-out curves."""
