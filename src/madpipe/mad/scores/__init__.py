"""How good an answer is: against its data, its truth, and on the test suite."""
