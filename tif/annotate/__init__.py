"""Text to spans: annotators, alignment, formats."""
