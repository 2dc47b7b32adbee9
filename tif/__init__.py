"""tif makes a language model forget chosen facts, and shows what it forgot and what it kept.

    import tif

    marked = tif.annotate(tif.AnnotateOptions(dataset="people.csv", out="people.parquet"))
    run = tif.train(tif.TrainOptions(masks="people.parquet", model="MODEL", out="runs/people"))
    result = tif.evaluate(tif.EvaluateOptions(model="runs/people"))
    tif.report(tif.ReportOptions(evaluations=("runs/people",), out="report.html"))

Each function takes one options object; the command line and config files have the same options. Everything is imported
at its first use, so that `import tif` takes no time.
"""

from __future__ import annotations

import os
import sys


def _is_command() -> bool:
    """Whether this process is the `tif` command itself, and no program that imports tif."""
    program = str((getattr(sys, "argv", None) or [""])[0])
    if program == "-m":  # `python -m` is looking for the module
        return "tif" in sys.orig_argv
    return os.path.basename(program).partition(".")[0] == "tif"  # noqa: PTH119


if _is_command():
    # It takes a moment to import the rest.
    from tif import interrupt

    interrupt.begin()

from importlib import import_module  # noqa: E402
from typing import TYPE_CHECKING, Any, Final  # noqa: E402

if TYPE_CHECKING:
    from tif.annotate.judge.options import JudgeOptions
    from tif.annotate.manual import ManualOptions
    from tif.annotate.models.options import MlmOptions, SurprisalOptions
    from tif.annotate.options import AnnotateOptions
    from tif.annotate.request import annotate
    from tif.annotate.rules.options import LearnedOptions, NerOptions
    from tif.eval.evaluate import evaluate
    from tif.eval.options import EvaluateOptions
    from tif.eval.report.options import ReportOptions
    from tif.eval.report.write import report
    from tif.sets.store import load as load_set
    from tif.sets.store import save as save_set
    from tif.spans import AnnotationSet, Example, Span
    from tif.train.options import TrainOptions
    from tif.train.tune import tune
    from tif.train.tune_options import TuneOptions
    from tif.trajectory import train

__version__ = "0.1.0"

_WHERE: Final = {
    "load_set": "tif.sets.store:load",
    "save_set": "tif.sets.store:save",
    "evaluate": "tif.eval.evaluate:evaluate",
    "report": "tif.eval.report.write:report",
    "tune": "tif.train.tune:tune",
    "AnnotateOptions": "tif.annotate.options:AnnotateOptions",
    "NerOptions": "tif.annotate.rules.options:NerOptions",
    "JudgeOptions": "tif.annotate.judge.options:JudgeOptions",
    "ManualOptions": "tif.annotate.manual:ManualOptions",
    "MlmOptions": "tif.annotate.models.options:MlmOptions",
    "SurprisalOptions": "tif.annotate.models.options:SurprisalOptions",
    "LearnedOptions": "tif.annotate.rules.options:LearnedOptions",
    "TrainOptions": "tif.train.options:TrainOptions",
    "TuneOptions": "tif.train.tune_options:TuneOptions",
    "EvaluateOptions": "tif.eval.options:EvaluateOptions",
    "ReportOptions": "tif.eval.report.options:ReportOptions",
    "AnnotationSet": "tif.spans:AnnotationSet",
    "Example": "tif.spans:Example",
    "Span": "tif.spans:Span",
}
"""The Python API: each name, and the module that defines it."""

_PACKAGES: Final = ("annotate", "train")
"""Functions of the API that have the name of a package: the package can be called (`tif.callable`)."""


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"tif.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module 'tif' has no attribute {name!r}")
    module, _, attribute = _WHERE[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE, *_PACKAGES})


__all__ = [
    "AnnotateOptions",
    "AnnotationSet",
    "EvaluateOptions",
    "Example",
    "JudgeOptions",
    "LearnedOptions",
    "ManualOptions",
    "MlmOptions",
    "NerOptions",
    "ReportOptions",
    "Span",
    "SurprisalOptions",
    "TrainOptions",
    "TuneOptions",
    "__version__",
    "annotate",
    "evaluate",
    "load_set",
    "report",
    "save_set",
    "train",
    "tune",
]
