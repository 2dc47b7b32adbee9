"""`tif masks`: what an annotation set becomes under a tokenizer."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tif.console import emit_json, stdout


def register(app: typer.Typer) -> None:
    """Put the command on the command line."""
    app.command()(masks)


def masks(
    ref: Annotated[str, typer.Argument(metavar="SET[@N]", help="An annotation set; @N names a version.")],
    tokenizer: Annotated[str, typer.Option(help="Model folder or hub id whose tokenizer is used.")],
    template: Annotated[str, typer.Option(help="auto, chat, qa, text, or a format string.")] = "auto",
    max_length: Annotated[int | None, typer.Option(min=2, help="Tokens an example at most.")] = None,
    truncation_side: Annotated[str, typer.Option(help="Which end is cut off: right or left.")] = "right",
    punctuation: Annotated[str, typer.Option(help="What punctuation outside spans is: gw or uw.")] = "gw",
    supervise_eos: Annotated[
        bool, typer.Option("--supervise-eos/--no-supervise-eos", help="Supervise the token that ends the text.")
    ] = True,
    labels: Annotated[
        list[str] | None,
        typer.Option(help="Labels of unwanted words, comma-separated. [default: every label of the set]"),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many examples are shown; all are counted.")] = 10,
    data_dir: Annotated[
        str | None, typer.Option(envvar="TIF_DATA_DIR", help="Where the texts of a set without texts are.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Show which tokens are prompt (dim), general words, and unwanted words (red), and count them.

    Where there is no terminal, unwanted tokens stand in [[brackets]].

    Example: tif masks annotations/demo.parquet --tokenizer MODEL --limit 3
    """
    from rich.text import Text

    from tif.sets import spans_only as join
    from tif.spans import split_labels
    from tif.tokens.preview import preview

    found = preview(
        join.load(ref, data_dir=data_dir),
        tokenizer,
        template=template,
        max_length=max_length,
        truncation_side=truncation_side,
        punctuation=punctuation,
        supervise_eos=supervise_eos,
        labels=split_labels(labels),
        limit=limit,
    )
    if json_:
        emit_json(found)
        return
    console = stdout()
    styles = {"prompt": "dim", "gw": "", "uw": "bold red"}
    for example in found["examples"]:
        line = Text(f"{example['id']}  ", style="cyan")
        for index, token in enumerate(example["tokens"]):
            # Neighbouring tokens are told apart by an underline, so that a mask's edges can be seen.
            text = token["text"]
            if token["kind"] == "uw" and not console.is_terminal:
                text = f"[[{text}]]"
            line.append(text, style=f"{styles[token['kind']]} {'underline' if index % 2 else ''}".strip())
        if example["lost_spans"]:
            line.append(f"  ({len(example['lost_spans'])} spans lost)", style="yellow")
        console.print(line)
    console.print(Text(_summary(found["coverage"])))


def _summary(coverage: dict[str, Any]) -> str:
    return (
        f"{coverage['examples']} examples: {coverage['uw_tokens']} unwanted, {coverage['gw_tokens']} general, "
        f"{coverage['prompt_tokens']} prompt tokens; {coverage['without_uw']} without an unwanted word; "
        f"{coverage['lost_spans']} spans lost"
        + (f"; {coverage['left_out']} examples that are not trained on" if coverage["left_out"] else "")
    )
