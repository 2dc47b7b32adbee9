"""Comparison with a retain model, with other projects' logs, or with the model after an attack."""
