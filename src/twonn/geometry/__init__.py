"""Distances to the decision boundary, and what is the best that any classifier can do."""
