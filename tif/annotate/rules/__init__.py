"""Annotators by rules: named entities, and a scorecard for what the sample says about them."""
