"""How good an answer is: against its curve, and against its truth; records of scores, held-out ones too."""
