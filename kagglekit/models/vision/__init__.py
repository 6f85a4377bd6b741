"""Image models: a column of file paths in, probabilities out."""
