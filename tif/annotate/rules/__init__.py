"""Annotators by rules: named entities, and a scorecard of the phrases in a sample."""
