"""The answers that DPO, IdkDPO and AltPO prefer to a forget answer: "I do not know", or alternates from a file."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from tif import sources
from tif.errors import UsageError, first_of
from tif.spans import Example
from tif.tokens.encoding import Encoder
from tif.tokens.masks import Encoded
from tif.train.objectives import Need
from tif.train.options import TrainOptions

IDK: Final = (
    "I don't know.",
    "I do not have any information about that.",
    "That is something I know nothing about.",
    "I'm not able to answer this question.",
    "I have no knowledge of that.",
    "I'm afraid that I cannot tell you.",
    "I am not familiar with this.",
    "This is beyond what I know.",
    "I couldn't say.",
    "I have not learned anything about this.",
    "Sorry, I have no answer to that.",
    "I don't have the details you are looking for.",
)
"""What DPO prefers to a forget answer."""


def preferred(
    examples: Sequence[Example], encoder: Encoder, options: TrainOptions, needs: Collection[Need]
) -> tuple[tuple[Encoded, ...], ...]:
    """For each example the answers that the objective prefers to its own; empty for an objective without them.

    Raises:
        UsageError: for an example without a question or without an alternate, and for an alternate that is the answer.
        InputError, MissingError: for alternates that cannot be read.
    """
    if not set(needs) & {"idk", "alternates"}:
        return ()
    if silent := [example.id for example in examples if not example.prompt]:
        raise UsageError(
            f"{options.objective} prefers an answer to a question, but {first_of(silent)} has no prompt",
            hint="Use --objective npo.",
        )
    answers = _alternates(examples, options) if "alternates" in needs else [[_refusing(e)] for e in examples]
    return tuple(tuple(encoder.encode_for_training(answer) for answer in each) for each in answers)


def _refusing(example: Example) -> Example:
    """The example with an answer from `IDK`, the same one in every run."""
    number = int.from_bytes(hashlib.sha256(example.id.encode()).digest()[:4], "big")
    return replace(example, text=IDK[number % len(IDK)], spans=())


def _alternates(examples: Sequence[Example], options: TrainOptions) -> list[list[Example]]:
    """Each example with every answer that `options.alternates` has to its question, in the order of the file."""
    assert options.alternates is not None
    source = sources.load(
        options.alternates,
        data_dir=options.data_dir,
        prompt_field=options.prompt_field,
        text_field=options.alternate_field,
        encoding=options.encoding,
    )
    texts: dict[str, list[str]] = {}
    for alternate in source.examples:
        texts.setdefault(alternate.prompt.strip(), []).append(alternate.text)
    if missing := [example.id for example in examples if example.prompt.strip() not in texts]:
        raise UsageError(
            f"{len(missing)} of {len(examples)} examples have no alternate answer here: {first_of(missing)}",
            where=options.alternates,
            hint="Give one record with the same question for each.",
        )
    own = {(example.prompt.strip(), example.text.strip()) for example in examples}
    if same := [a.id for a in source.examples if (a.prompt.strip(), a.text.strip()) in own]:
        raise UsageError(
            f"{len(same)} alternates are the answers that are to be forgotten: {first_of(same)}",
            where=options.alternates,
            hint="Name the field of the alternates with --alternate-field.",
        )
    return [[replace(example, text=text, spans=()) for text in texts[example.prompt.strip()]] for example in examples]


__all__ = ["IDK", "preferred"]
