"""Where a generated text begins and where it ends: the tokens before it, and the tokens that end it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tif.errors import UsageError
from tif.spans import Example
from tif.tokens.masks import NOWHERE, Encoded, Kind, Template, encode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_QUESTION: Final = "Which question?"
"""Stands for a question: words that every tokenizer can decode again."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The prompts of some samples, and the tokens that end an answer."""

    prompts: tuple[tuple[int, ...], ...]
    """Token ids of each prompt, in the order of the samples."""
    ends: frozenset[int]
    """The model's own `generation_config.eos_token_id` ends an answer too, but is not among these."""


def ask(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, template: Template, *, given: Sequence[int] = ()
) -> Asked:
    """Return the prompts as they precede the answers in training, and the tokens that end these answers.

    Prompt and answer are tokenized together, then cut. A template that ends in a space would otherwise end in a token
    that never precedes an answer.

    An answer ends at the token that training supervises as its end, at the first special token of the template behind
    the answer, and at the tokenizer's EOS. A base model that was fine-tuned on chats often has the first of these in
    its template only.

    Args:
        examples: the samples.
        tokenizer: the model's tokenizer.
        template: how prompt and answer become one text.
        given: for each sample, how many code points of its answer belong to the prompt. A token that reaches beyond
            them does not. Default: none.

    Raises:
        MaskError, UsageError: as `tif.tokens.masks.encode`.
    """
    supervised_end = _has_end(examples, tokenizer, template)
    encoded = [encode(example, tokenizer, template, supervise_eos=supervised_end) for example in examples]
    ends = end_ids(tokenizer)
    if supervised_end and encoded:
        ends |= _template_ends(examples[0], encoded, tokenizer, template)
    lengths = given or [0] * len(encoded)
    return Asked(tuple(_before(item, length) for item, length in zip(encoded, lengths, strict=True)), ends)


def prompt_text(tokenizer: PreTrainedTokenizerBase, template: Template) -> str:
    """Return a prompt as text without special tokens, with `{prompt}` in the place of the question."""
    asked = ask([Example(id="prompt", prompt=_QUESTION, text="x")], tokenizer, template)
    return str(tokenizer.decode(asked.prompts[0], skip_special_tokens=True)).replace(_QUESTION, "{prompt}")


def end_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Return the tokens that end a text without a template."""
    return frozenset() if tokenizer.eos_token_id is None else frozenset([tokenizer.eos_token_id])


def text_ids(text: str, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Return the tokens of a text that the model is to continue.

    A tokenizer may append special tokens (`add_eos_token`). They would close the text, so they are left out. Special
    tokens before the text stay.
    """
    # verbose=False: no warning for a text longer than the tokenizer's own limit.
    coded = tokenizer(text, return_special_tokens_mask=True, return_attention_mask=False, verbose=False)
    ids, added = list(coded["input_ids"]), list(coded["special_tokens_mask"])
    while len(ids) > 1 and added[len(ids) - 1]:
        ids.pop()
    return tuple(ids)


def _before(item: Encoded, given: int) -> tuple[int, ...]:
    """Return the tokens before the first supervised token that reaches beyond the given part of the answer."""
    for index, (kind, (start, end)) in enumerate(zip(item.kinds, item.offsets, strict=True)):
        if kind != Kind.PROMPT and (not given or start < 0 or end > given):
            return item.input_ids[:index]
    return item.input_ids


def _has_end(examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, template: Template) -> bool:
    """Return whether training could supervise an end token: the template writes one, or the tokenizer has an EOS."""
    try:
        for example in examples[:1]:
            encode(example, tokenizer, template)
    except UsageError:
        return False
    return True


def _template_ends(
    first: Example, encoded: Sequence[Encoded], tokenizer: PreTrainedTokenizerBase, template: Template
) -> frozenset[int]:
    special = set(tokenizer.all_special_ids)
    special |= {id_ for id_, token in tokenizer.added_tokens_decoder.items() if token.special}
    rendered = template.render(first, tokenizer)
    suffix = tokenizer(rendered.string[rendered.end :], add_special_tokens=False, verbose=False)["input_ids"]
    ends = {next((token for token in suffix if token in special), encoded[0].input_ids[-1])}
    ends.add(encoded[0].input_ids[-1])
    # Some templates end an answer with an ordinary token, such as a line break. If answers contain it too, it does not
    # mark their end.
    answers = {
        token
        for item in encoded
        for token, offset in zip(item.input_ids, item.offsets, strict=True)
        if offset != NOWHERE and token not in special
    }
    return frozenset(ends - answers)


__all__ = ["Asked", "ask", "end_ids", "prompt_text", "text_ids"]
