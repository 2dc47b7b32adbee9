"""Evaluate a model, and write the numbers and the report."""
