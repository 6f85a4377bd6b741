"""Models: scikit-learn estimators over a DataFrame, by name in `registry`."""
