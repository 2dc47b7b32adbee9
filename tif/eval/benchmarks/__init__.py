"""Benchmarks: their questions, and how each aggregates the scores."""
