"""Does validation speak for the test rows? What tells train from test, out of bag beside validation, and duplicates."""
