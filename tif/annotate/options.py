"""Options of `tif annotate` that apply to every method."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from tif import sources
from tif.annotate.judge.options import JudgeOptions
from tif.annotate.methods import ANNOTATORS
from tif.options import Option, Options, only_with
from tif.readers import is_text_folder
from tif.sets.metadata import AUTHOR_ENV


def _nothing_is_annotated(_options: Any, method: Any) -> str | None:
    if isinstance(method, JudgeOptions) and (method.dry_run or method.batch is not None):
        return f"{'--dry-run' if method.dry_run else '--batch'} never repeats a request"
    return None


def _nothing_is_saved(_options: Any, method: Any) -> str | None:
    if isinstance(method, JudgeOptions) and (method.dry_run or method.batch in ("submit", "status")):
        return f"{'--dry-run' if method.dry_run else '--batch ' + str(method.batch)} saves no set"
    return None


def _no_text_file(options: Any, method: Any) -> str | None:
    if options.method == "manual" and (method is None or method.reads_encoding()):
        return None  # it may be that of --spans
    if sources.is_file(options.dataset):
        return "parquet has one encoding" if options.dataset.lower().endswith(".parquet") else None
    return None if is_text_folder(options.dataset) else f"it is for text files, and {options.dataset} is none"


class AnnotateOptions(Options):
    """Options of `tif annotate`: the dataset, the method and the set to write."""

    dataset: Annotated[
        str,
        Option(
            "tofu:forget10, muse:news, a hub id, a .jsonl/.json/.csv/.parquet/.txt file, or a folder of texts.",
            names=("--dataset", "-d"),
        ),
    ]
    method: Annotated[str, Option(f"The annotator: {', '.join(ANNOTATORS)}, or a plugin's name.")] = "ner"
    out: Annotated[
        Path | None,
        Option(
            "Annotation set to write.",
            names=("--out", "-o"),
            otherwise="annotations/NAME.parquet, named after the dataset",
        ),
    ] = None
    limit: Annotated[int | None, Option("Use this many records at most, from the start.", least=1)] = None
    data_dir: Annotated[
        Path | None, Option("Folder with local copies of the benchmarks' files.", env="TIF_DATA_DIR")
    ] = None
    prompt_field: Annotated[
        str | None,
        Option('Field that holds the prompt; several as A,B, joined with line breaks; "" for plain text.',
               otherwise="the usual names"),
    ] = None  # fmt: skip
    text_field: Annotated[str | None, Option("Field that holds the text.", otherwise="the usual names")] = None
    encoding: Annotated[
        str | None,
        Option("Encoding of text files, such as cp1252 for Windows.", metavar="NAME", otherwise="UTF-8",
               idle=_no_text_file),
    ] = None  # fmt: skip
    retry_failed: Annotated[bool, Option("Annotate only the examples that failed before.")] = False
    fresh: Annotated[
        bool, Option("Discard the finished examples of earlier runs with these settings.", idle=_nothing_is_annotated)
    ] = False
    force: Annotated[bool, Option("Also overwrite examples that people accepted, corrected or rejected.")] = False
    engine: Annotated[
        Literal["local", "ray"],
        Option("local: run in this process. ray: run in worker processes of Ray Data, for millions of texts."),
    ] = "local"
    workers: Annotated[
        int | None, Option("Worker processes.", least=1, otherwise="one for each CPU", idle=only_with("engine", "ray"))
    ] = None
    entities_policy: Annotated[
        Path | None,
        Option(
            "TOML file: which entity types to unlearn, keep or review, with thresholds, allow and deny lists.",
            idle=_nothing_is_saved,
        ),
    ] = None
    message: Annotated[str, Option("Reason for this version, for `tif spans log`.", names=("--message", "-m"))] = ""
    author: Annotated[str, Option("Author of this version, for `tif spans log`.", env=AUTHOR_ENV)] = ""


__all__ = ["AnnotateOptions"]
