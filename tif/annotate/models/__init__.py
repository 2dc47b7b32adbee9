"""Annotators that use a language model's probability of each word."""
