"""`tif annotate`: from samples to an annotation set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tif.console import emit_json, say, warn
from tif.errors import UsageError

if TYPE_CHECKING:
    from tif.annotate.run import Report

_NER = "Options of --method ner"
_LLM = "Options of --method llm"
_MODELS = "Options of --method mlm, surprisal, learned"


def register(app: typer.Typer) -> None:
    """Put the command on the command line."""
    app.command()(annotate)


def annotate(
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset", "-d", help="tofu:forget10, muse:news, a hub id, or a .jsonl/.json/.csv/.parquet file."
        ),
    ],
    method: Annotated[str, typer.Option(help="ner, llm, manual, mlm, surprisal, learned, or a plugin's name.")] = "ner",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The set. Default: annotations/NAME.parquet after the dataset.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many records, from the start.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(envvar="TIF_DATA_DIR", help="Folder with local copies of the benchmarks' files.")
    ] = None,
    prompt_field: Annotated[str | None, typer.Option(help="Field that holds the prompt.")] = None,
    text_field: Annotated[str | None, typer.Option(help="Field that holds the text.")] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Do the failed examples again, no others.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Forget what earlier runs with these settings finished.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what people accepted or corrected, too.")] = False,
    engine: Annotated[
        str, typer.Option(help="local, or ray: worker processes of Ray Data, for millions of texts.")
    ] = "local",
    workers: Annotated[
        int | None, typer.Option(min=1, help="--engine ray: worker processes. Default: one for each CPU.")
    ] = None,
    message: Annotated[str, typer.Option("--message", "-m", help="Why, for `tif spans log`.")] = "",
    author: Annotated[str, typer.Option("--author", envvar="TIF_AUTHOR", help="Who, for `tif spans log`.")] = "",
    json_: Annotated[bool, typer.Option("--json", help="One JSON document on stdout: what was done.")] = False,
    # --- ner
    spacy_model: Annotated[
        str | None, typer.Option(rich_help_panel=_NER, help="Pipeline: a package or a folder. Default: en_core_web_sm.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(rich_help_panel=_NER, help="Entity labels that count, e.g. PERSON,GPE,DATE.")
    ] = None,
    patterns: Annotated[
        Path | None, typer.Option(rich_help_panel=_NER, help="EntityRuler patterns, JSONL: always unwanted.")
    ] = None,
    all_entities: Annotated[
        bool, typer.Option("--all-entities", rich_help_panel=_NER, help="Mark what the prompt already says, too.")
    ] = False,
    n_process: Annotated[
        int | None, typer.Option(rich_help_panel=_NER, help="Worker processes, for long texts.")
    ] = None,
    # --- llm
    model: Annotated[
        str | None,
        typer.Option(rich_help_panel=_LLM, help="The judge's name (llm), a model folder or hub id (others)."),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(rich_help_panel=_LLM, help="OpenAI-compatible endpoint. Default: OPENAI_BASE_URL, else OpenAI."),
    ] = None,
    concurrency: Annotated[int | None, typer.Option(rich_help_panel=_LLM, help="Requests under way at once.")] = None,
    policy: Annotated[
        Path | None, typer.Option(rich_help_panel=_LLM, help="Text file that says what counts as unwanted here.")
    ] = None,
    mentions: Annotated[
        str | None, typer.Option(rich_help_panel=_LLM, help="first or all: which mentions of a quote are marked.")
    ] = None,
    fuzzy: Annotated[
        bool, typer.Option("--fuzzy", rich_help_panel=_LLM, help="Accept words that only look like the quoted ones.")
    ] = False,
    timeout: Annotated[float | None, typer.Option(rich_help_panel=_LLM, help="Seconds for one try.")] = None,
    max_retries: Annotated[int | None, typer.Option(rich_help_panel=_LLM, help="Tries after the first.")] = None,
    temperature: Annotated[float | None, typer.Option(rich_help_panel=_LLM, help="Sampling temperature.")] = None,
    response_format: Annotated[
        str | None,
        typer.Option(rich_help_panel=_LLM, help="json_schema, json_object or text. Default: what the server can."),
    ] = None,
    max_reply_tokens: Annotated[int | None, typer.Option(rich_help_panel=_LLM, help="Longest reply.")] = None,
    max_tokens_total: Annotated[
        int | None, typer.Option(rich_help_panel=_LLM, help="No new request once so many tokens are spent.")
    ] = None,
    chunk_chars: Annotated[
        int | None, typer.Option(rich_help_panel=_LLM, help="Longer texts are judged in pieces of so many characters.")
    ] = None,
    overlap_chars: Annotated[
        int | None, typer.Option(rich_help_panel=_LLM, help="How much text before a piece is repeated in it.")
    ] = None,
    examples: Annotated[
        Path | None, typer.Option(rich_help_panel=_LLM, help="Solved samples to show, JSONL: prompt, text, quotes.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(rich_help_panel=_LLM, help="File for replies. Default: beside the set's versions.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", rich_help_panel=_LLM, help="Count requests and tokens, send nothing.")
    ] = False,
    price_in: Annotated[
        float | None, typer.Option(rich_help_panel=_LLM, min=0, help="--dry-run: price of a million prompt tokens.")
    ] = None,
    price_out: Annotated[
        float | None, typer.Option(rich_help_panel=_LLM, min=0, help="--dry-run: price of a million reply tokens.")
    ] = None,
    batch: Annotated[
        str | None, typer.Option(rich_help_panel=_LLM, help="submit, status or fetch: through the Batch API.")
    ] = None,
    # --- models
    base_model: Annotated[
        str | None, typer.Option(rich_help_panel=_MODELS, help="surprisal: a model that never saw the data.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(rich_help_panel=_MODELS, help="mlm: probability from which a word is general. surprisal: nats."),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(rich_help_panel=_MODELS, help="Sequences in one forward.")] = None,
    learn_from: Annotated[
        Path | None, typer.Option("--from", rich_help_panel=_MODELS, help="learned: a set that people corrected.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="An option of a plugin's annotator.")
    ] = None,
) -> None:
    """Find the unwanted words of every sample, and save them as an annotation set.

    What is finished is kept at once: after a crash, or Ctrl-C, the same command goes on from there. Exit code 3 means
    that some examples failed and the others are saved.

    Example: tif annotate --method ner --dataset tofu:forget10

    Example: tif annotate --method llm --model gpt-4o --dataset notes.jsonl --policy policy.txt
    """
    given: dict[str, Any] = {
        "spacy_model": spacy_model,
        "labels": labels,
        "patterns": patterns,
        "question_aware": False if all_entities else None,
        "n_process": n_process,
        "model": model,
        "base_url": base_url,
        "concurrency": concurrency,
        "policy": policy,
        "mentions": mentions,
        "fuzzy": fuzzy or None,
        "timeout": timeout,
        "max_retries": max_retries,
        "temperature": temperature,
        "response_format": response_format,
        "max_reply_tokens": max_reply_tokens,
        "max_tokens_total": max_tokens_total,
        "chunk_chars": chunk_chars,
        "overlap_chars": overlap_chars,
        "examples": examples,
        "cache": cache,
        "base_model": base_model,
        "threshold": threshold,
        "batch_size": batch_size,
        "learn_from": learn_from,
        "fresh": (fresh and method == "llm") or None,
        **_settings(set_ or []),
    }
    options = {name: value for name, value in given.items() if value is not None}
    if (dry_run or batch is not None) and method != "llm":
        raise UsageError(f"--method {method} sends nothing", where="--dry-run" if dry_run else "--batch")
    if (price_in is not None or price_out is not None) and not dry_run:
        raise UsageError("prices are for --dry-run", where="--price-in" if price_in is not None else "--price-out")
    if fresh and (dry_run or batch is not None):
        raise UsageError("nothing is annotated here that could be forgotten first", where="--fresh")
    if max_tokens_total is not None and batch is not None:
        raise UsageError("a batch is ordered whole", where="--max-tokens-total", hint="Say --limit.")
    if labels is not None and not labels.strip(" ,"):
        raise UsageError("names no label", where="--labels")
    if engine not in ("local", "ray"):
        raise UsageError(f"no engine {engine!r}", where="--engine", hint="Known: local, ray.")
    if workers is not None and engine != "ray":
        raise UsageError("worker processes go with --engine ray", where="--workers")
    if batch not in (None, "submit", "status", "fetch"):
        raise UsageError(f"unknown step {batch!r}", where="--batch", hint="Known: submit, status, fetch.")

    from tif import sources
    from tif.annotate.build import build
    from tif.annotate.run import run
    from tif.sets import store

    source = sources.load(dataset, data_dir=data_dir, prompt_field=prompt_field, text_field=text_field, limit=limit)
    out = out or Path("annotations", f"{sources.default_name(dataset)}.parquet")
    annotator = build(method, source, out, options)
    if engine == "ray":
        from tif.annotate.ray import RayAnnotator

        annotator = RayAnnotator(annotator, method, options, workers=workers)
    if dry_run:
        from tif.annotate.judge.annotator import LlmAnnotator
        from tif.annotate.judge.estimate import estimate

        assert isinstance(annotator, LlmAnnotator)
        emit_json(estimate(annotator, source.examples).row(price_in, price_out))
        return
    if batch is not None:
        from tif.annotate.judge.annotator import LlmAnnotator
        from tif.annotate.judge.batch import Batch

        assert isinstance(annotator, LlmAnnotator)
        batches = Batch(annotator, store.folder(out) / "judge-batches")
        if batch != "fetch":
            emit_json(batches.submit(source.examples) if batch == "submit" else batches.status())
            return
        batches.fetch()
        annotator = batches.judge()
    report = run(
        source,
        annotator,
        out,
        retry_failed=retry_failed,
        # A batch's failures are tried again by submitting again, so fetching looks at them again.
        renew_failed=batch is not None,
        fresh=fresh,
        force=force,
        message=message,
        author=author,
    )
    _tell(report, out, json_=json_)
    report.check(hint="The others are saved; the same command with --retry-failed tries these again.")


def _tell(report: Report, out: Path, *, json_: bool) -> None:
    version = report.set.version
    assert version is not None
    counts = report.set.counts()
    if report.dropped:
        warn(
            f"{report.dropped} records of the version before are not in this one; `tif spans log {out}` lists versions"
        )
    say(report.line)
    say(
        f"{out} is version {version.number}, {version.digest[:12]}: "
        f"{counts['spans']} spans in {counts['examples']} examples"
    )
    if json_:
        emit_json(
            {
                "set": str(out),
                "version": version.number,
                "digest": version.digest,
                "reused": report.reused,
                "new": report.new,
                "kept": report.kept,
                "failed": report.failed,
                "counts": counts,
                "method": dict(report.set.provenance.method),
            }
        )


def _settings(pairs: list[str]) -> dict[str, Any]:
    """`name=value` pairs; a value that is JSON is taken as such, any other as text."""
    from tif.errors import InputError
    from tif.sources import parse_json

    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"{pair!r} is not NAME=VALUE", where="--set")
        try:
            found[name] = parse_json(value)
        except InputError:
            found[name] = value
    return found
