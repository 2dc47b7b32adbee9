"""Annotators that ask a language model how predictable each word is."""
