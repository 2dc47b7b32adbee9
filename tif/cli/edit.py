"""`tif spans edit`: correct spans by hand, in a page served on this machine only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tif.cli.arguments import Author, Message, TrainedLabels, split_labels
from tif.console import emit, say
from tif.options.declare import split_values

if TYPE_CHECKING:
    from tif.edit.desk import Desk


def register(spans: typer.Typer) -> None:
    """Put the command into the `spans` group."""
    spans.command()(edit)


def edit(
    path: Annotated[Path, typer.Argument(metavar="SET", help="The annotation set to correct.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes a free one.")] = 0,
    more_labels: Annotated[
        list[str] | None, typer.Option(help="More labels to offer, e.g. NAME,DATE, on the keys 2 to 9.")
    ] = None,
    labels: TrainedLabels = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="Model folder or hub id. Shows which of its tokens training would mask.")
    ] = None,
    template: Annotated[
        str, typer.Option(help="Template for --tokenizer: auto, chat, qa, text, a preset, or a format string.")
    ] = "auto",
    system_prompt: Annotated[
        str | None, typer.Option(help="System message that each chat begins with, for --tokenizer.")
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(min=2, help="Longest sample in tokens, for --tokenizer. Use the value of training.")
    ] = None,
    message: Message = "",
    author: Author = "",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
) -> None:
    """Correct spans by hand in a browser page on this machine, with the keyboard or the mouse.

    A span marks words that the model is to forget: unwanted words, label UW. Other labels name the kind of these words.
    The page's address is printed. Each edit is on disk before the page shows it as saved. Ctrl+C saves all edits as a
    new version. After a crash, run the same command again: it continues from the last edit.

    Example: tif spans edit annotations/tofu10.parquet
    """
    import webbrowser

    from tif.edit.serve import serve

    masker, trained = None, split_labels(labels)
    if tokenizer:
        from tif.edit.masking import Masker
        from tif.tokens.encoding import Encoding
        from tif.tokens.templates import TemplateSpec

        encoding = Encoding(
            template=TemplateSpec.of(template), system_prompt=system_prompt, max_length=max_length, labels=trained
        )
        masker = Masker.load(tokenizer, encoding)

    def started(desk: Desk, address: str) -> None:
        emit(address, now=True)
        say(f"correcting {path} as {desk.author}; press Ctrl+C to save a new version and stop")
        if browser:
            webbrowser.open(address)

    done = serve(
        path,
        author,
        started=started,
        port=port,
        labels=split_values(more_labels, "--more-labels") if more_labels else (),
        trained=trained,
        masker=masker,
        message=message,
    )
    if done.changed:
        say(f"{path} is version {done.saved.version.number}, {len(done.conflicts)} conflicts")
    else:
        say(f"{path} stays at version {done.saved.version.number}")
