"""A model to numbers and pictures."""
