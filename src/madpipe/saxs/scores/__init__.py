"""How good an answer is: against its curves, and against their truth; records of scores."""
