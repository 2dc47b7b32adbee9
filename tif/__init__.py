"""tif: make a language model forget targeted information, and nothing else."""

__version__ = "0.1.0"

__all__ = ["__version__"]
