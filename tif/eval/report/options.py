"""The options of `tif report`, each declared once (see `tif.options`)."""

from __future__ import annotations

from typing import Annotated

from tif.errors import UsageError
from tif.options import Option, Options


class ReportOptions(Options):
    """Options of a report."""

    evaluations: Annotated[
        tuple[str, ...], Option("Run folders or eval.json files.", positional=True, metavar="RUN_OR_EVAL...")
    ]
    out: Annotated[str, Option("HTML file to write.")] = "report.html"
    before: Annotated[
        str | None,
        Option("Name of the evaluation of the starting model.", otherwise="the model that a run started from"),
    ] = None
    names: Annotated[tuple[str, ...], Option("Names for the evaluations, in order.", names=("--name",))] = ()
    title: Annotated[str, Option("The page's title.")] = "What was forgotten, and what was kept"
    redact: Annotated[
        bool,
        Option(
            "Show no unwanted words, for a reader who must not see them. Without an annotation set, show no "
            "text of the forget set."
        ),
    ] = False

    def check(self) -> None:
        """Refuse another number of names than evaluations."""
        if self.names and len(self.names) != len(self.evaluations):
            raise UsageError(
                f"{len(self.names)} names for {len(self.evaluations)} evaluations", hint="Give --name once for each."
            )


__all__ = ["ReportOptions"]
