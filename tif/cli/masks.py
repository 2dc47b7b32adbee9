"""`tif masks`: show the token masks of an annotation set under a tokenizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tif.console import emit, emit_json, emit_styled, stdout
from tif.escape import visible_line
from tif.options import command
from tif.tokens.preview import MaskOptions

if TYPE_CHECKING:
    from tif.tokens.preview import Coverage, Preview


def register(app: typer.Typer) -> None:
    """Put the command on the command line."""
    command(app, "masks")(masks)


def masks(
    options: MaskOptions,
    *,
    json_: Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")] = False,
) -> None:
    """Show which tokens are prompt (dim), general words, and unwanted words (red), and count them.

    The tokens are those that training would see. Without a terminal, unwanted tokens are shown in double brackets.

    Example: tif masks annotations/demo.parquet --tokenizer MODEL --limit 3
    """
    from tif.sets import store
    from tif.tokens.models import load_tokenizer
    from tif.tokens.preview import preview

    shown = preview(
        store.load(options.masks, data_dir=options.data_dir),
        load_tokenizer(options.tokenizer),
        options,
        where=options.masks,
        limit=options.limit,
    )
    if json_:
        emit_json(shown.to_json())
    else:
        _print(shown)


def _print(shown: Preview) -> None:
    brackets = not stdout().is_terminal
    styles = {"prompt": "dim", "gw": "", "uw": "bold red"}
    for row in shown.examples:
        pieces = [(f"{visible_line(row.id)}  ", "cyan")]
        for index, token in enumerate(row.tokens):
            text = f"[[{token.text}]]" if token.kind == "uw" and brackets else token.text
            # Every other token is underlined, so that a reader sees where a token ends.
            pieces.append((text, f"{styles[token.kind]} {'underline' if index % 2 else ''}".strip()))
        if row.lost_spans:
            pieces.append((f"  ({len(row.lost_spans)} spans lost)", "yellow"))
        emit_styled(*pieces)
    emit(_summary(shown.coverage))


def _summary(coverage: Coverage) -> str:
    parts = [
        f"{coverage.examples} examples: {coverage.uw_tokens} unwanted, {coverage.gw_tokens} general, "
        f"{coverage.prompt_tokens} prompt tokens",
        f"{coverage.without_uw} without an unwanted word",
        f"{coverage.lost_spans} spans lost",
    ]
    if coverage.other_spans:
        parts.append(f"{coverage.other_spans} spans of labels that are not in --labels, not trained")
    if coverage.windows > coverage.examples:
        parts.append(f"{coverage.windows} windows, {coverage.windows_without_uw} of them without an unwanted word")
    if coverage.left_out:
        parts.append(f"{coverage.left_out} examples left out of training")
    return "; ".join(parts)
