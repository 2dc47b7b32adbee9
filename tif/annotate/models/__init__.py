"""Annotators that use a model: a language model's probability of each word, or a token classifier."""
