"""Benchmarks: which questions are asked, and how the answers are aggregated."""
