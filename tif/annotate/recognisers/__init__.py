"""Annotators that ask another project's recogniser of personal data."""
