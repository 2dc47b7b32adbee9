"""Masks and a model to an unlearned model."""
