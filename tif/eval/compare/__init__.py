"""Comparison with another model, or with a damaged one."""
