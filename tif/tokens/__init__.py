"""Spans meet a tokenizer and a model."""
