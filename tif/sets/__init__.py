"""Annotation sets: storage, versions, comparison, checks and exchange formats."""
