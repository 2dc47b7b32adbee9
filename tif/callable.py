"""Packages that can be called like a function.

The Python API has functions `tif.annotate` and `tif.train`, and there are packages of these names. Importing a package
sets it as an attribute of `tif`, so the package itself must do what the function does.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


def make_callable(package: str, function: str) -> None:
    """Let `package` be called; a call goes to `function`, given as `module:name` and imported at the first call."""
    module, _, name = function.partition(":")

    class CallablePackage(ModuleType):
        """A package that stands for one of its functions."""

        def __call__(self, *arguments: Any, **keywords: Any) -> Any:
            return getattr(import_module(module), name)(*arguments, **keywords)

    sys.modules[package].__class__ = CallablePackage


__all__ = ["make_callable"]
