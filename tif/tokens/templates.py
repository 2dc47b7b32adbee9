"""How prompt and text become the one string that a model sees."""

from __future__ import annotations

from dataclasses import dataclass
from string import Formatter
from typing import TYPE_CHECKING, Final

from tif.errors import MaskError, UsageError
from tif.options import Written
from tif.spans import Example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_KNOWN: Final = "Known: auto, chat, qa, text, or a format string with {prompt} and {text}, each once."
QA: Final = "Question: {prompt}\nAnswer: {text}"
"""The plain template of TOFU's base models."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A sample as the model sees it, and where the sample's text lies in it."""

    string: str
    start: int
    """First code point of the text in `string`."""
    end: int
    """One past its last."""
    shift: int
    """What to add to a position in `string` to get the position in `Example.text`."""
    add_special_tokens: bool
    """False where the template has already written them: a second BOS would move every mask by one."""


@dataclass(frozen=True, slots=True)
class TemplateSpec(Written):
    """Which template is asked for. `TemplateSpec.of` reads one; `Template.of` resolves it for a tokenizer."""

    text: str = "auto"
    """`auto` (chat where the tokenizer has a chat template, else qa), `chat`, `qa` ("Question: ...\\nAnswer: ..."),
    `text` (the text without the prompt), or a format string such as `[INST] {prompt} [/INST] {text}`."""

    @classmethod
    def of(cls, text: str) -> TemplateSpec:
        """The template that a text names or is.

        Raises:
            UsageError: for a text that is neither a name nor a format string with `{text}`.
        """
        if text in ("auto", "chat", "qa", "text"):
            return cls(text)
        try:
            fields = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
        except ValueError as error:
            raise UsageError(f"template {text!r} cannot be read: {error}", hint=_KNOWN) from None
        if fields.count("text") != 1 or set(fields) - {"prompt", "text"} or fields.count("prompt") > 1:
            raise UsageError(f"{text!r} is no template", hint=_KNOWN)
        return cls(text)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Template:
    """A template, resolved for one tokenizer. Made by `Template.of`."""

    spec: str
    """`chat`, `text`, or a format string with `{prompt}` and `{text}`."""

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, spec: TemplateSpec | str = "auto") -> Template:
        """The template that `spec` means for this tokenizer, whose chat template decides what `auto` is.

        Raises:
            UsageError: for a text that is no template (`TemplateSpec.of`), or `chat` without a chat template.
        """
        text = str(TemplateSpec.of(spec) if isinstance(spec, str) else spec)
        if text == "auto":
            text = "chat" if tokenizer.chat_template else "qa"
        if text == "chat" and not tokenizer.chat_template:
            raise UsageError("is chat, but the tokenizer has no chat template", where="--template", hint="Use qa.")
        return cls(QA if text == "qa" else text)

    def render(self, example: Example, tokenizer: PreTrainedTokenizerBase) -> Rendered:
        """The string for one example. An example without a prompt is plain text under every template.

        Raises:
            MaskError: for a chat template that rewrites the text, so that spans cannot be carried over.
        """
        if not example.prompt or self.spec == "text":
            return Rendered(example.text, 0, len(example.text), 0, add_special_tokens=True)
        if self.spec == "chat":
            return self._chat(example, tokenizer)
        prefix, suffix = _fill(self.spec, example.prompt)
        return _join(prefix, example.text, suffix, 0, add_special_tokens=True)

    def opening(self, prompt: str, tokenizer: PreTrainedTokenizerBase) -> tuple[str, bool]:
        """What stands before the text, for completing a prompt, and whether special tokens are still to be added."""
        rendered = self.render(Example(id="opening", prompt=prompt, text="x"), tokenizer)
        return rendered.string[: rendered.start], rendered.add_special_tokens

    def _chat(self, example: Example, tokenizer: PreTrainedTokenizerBase) -> Rendered:
        # A stand-in for the answer shows where the answer lies: the answer's own words may occur in the prompt, too.
        sentinel = "ANSWER"
        while sentinel in example.prompt:
            sentinel += "X"
        prefix, separator, suffix = _converse(example.prompt, sentinel, tokenizer).partition(sentinel)
        real = _converse(example.prompt, example.text, tokenizer)
        inner = real[len(prefix) : len(real) - len(suffix)]
        # Some templates strip the content. The text then begins later, and everything else must still be the same.
        lead = len(example.text) - len(example.text.lstrip()) - (len(inner) - len(inner.lstrip()))
        same = real == prefix + inner + suffix and inner.strip() == example.text.strip()
        if not separator or sentinel in suffix or not same or inner != example.text[lead : lead + len(inner)]:
            raise MaskError(
                "the chat template rewrites the text, so spans cannot be carried over",
                where=f"record {example.id!r}",
                hint="Use `--template qa` or a format string of your own.",
            )
        return _join(prefix, inner, suffix, lead, add_special_tokens=False)


def _converse(prompt: str, answer: str, tokenizer: PreTrainedTokenizerBase) -> str:
    turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    return str(tokenizer.apply_chat_template(turns, tokenize=False))


def _join(prefix: str, text: str, suffix: str, lead: int, *, add_special_tokens: bool) -> Rendered:
    start = len(prefix)
    return Rendered(prefix + text + suffix, start, start + len(text), lead - start, add_special_tokens)


def _fill(spec: str, prompt: str) -> tuple[str, str]:
    """A format string before and after `{text}`, with the prompt in its place."""
    before, here = "", ""
    for literal, name, _, _ in Formatter().parse(spec):
        here += literal
        if name == "prompt":
            here += prompt
        elif name == "text":
            before, here = here, ""
    return before, here


__all__ = ["QA", "Rendered", "Template", "TemplateSpec"]
