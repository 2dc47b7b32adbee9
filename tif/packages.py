"""The distribution that runs, and the command that installs one of its extras.

The import name is `tif`. PyPI's package `tif` is another project, so a hint must name the distribution.
"""

from __future__ import annotations

from importlib.metadata import packages_distributions
from typing import Final, Literal

NAME: Final = "tif-unlearning"
"""The name in pyproject.toml. It stands in when the code runs without being installed."""

Extra = Literal["edit", "gliner", "hub", "llm", "lm-eval", "lora", "ner", "presidio", "ray"]
"""The extras that a hint can ask for."""


def distribution() -> str:
    """The name of the installed distribution that provides `tif`."""
    owners = packages_distributions().get("tif", [])
    return NAME if NAME in owners or not owners else owners[0]


def install_hint(extra: Extra) -> str:
    """The sentence that tells how to install an extra of the running distribution."""
    return f"Install it: pip install '{distribution()}[{extra}]'"


__all__ = ["NAME", "Extra", "distribution", "install_hint"]
