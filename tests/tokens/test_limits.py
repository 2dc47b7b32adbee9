"""Tokens and positions that a model does not have are told before the forward that would fail."""

from __future__ import annotations

import pytest
import torch

from tests.tokens.architectures import build
from tif.errors import InputError
from tif.tokens.limits import Limits, attention_window
from tif.tokens.masks import Encoded, Kind

LEARNED = ("gpt2", "opt", "gpt_neo", "gptj")
COMPUTED = ("llama", "bloom", "gemma3_text", "mamba")


def text(name: str, *ids: int) -> Encoded:
    return Encoded(name, ids, (Kind.PROMPT, *[Kind.GW] * (len(ids) - 1)), ((-1, -1),) * len(ids))


@pytest.mark.parametrize("kind", [*LEARNED, *COMPUTED])
def test_a_limit_is_where_the_model_breaks(kind: str) -> None:
    model = build(kind, 90, max_position_embeddings=24)
    limits = Limits.of(model)
    assert limits.vocabulary == 90
    assert limits.positions == (24 if kind in LEARNED else None)

    def read(length: int, last: int = 5) -> None:
        ids = torch.tensor([[5] * (length - 1) + [last]])
        with torch.no_grad():
            model(input_ids=ids, use_cache=False)

    read(24)
    assert limits.fault([5] * 24) is None
    if kind in LEARNED:
        what, hint = limits.fault([5] * 25)
        assert (what, hint) == ("25 tokens are more than the model's 24 positions", "Use --max-length 24.")
        with pytest.raises((IndexError, RuntimeError)):
            read(25)
    else:
        assert limits.fault([5] * 25) is None
        read(25)
    what, hint = limits.fault([5, 90])
    assert what.startswith("the tokenizer gives token 90, and ")
    assert what.endswith("has embeddings for 90 tokens")
    assert "resize_token_embeddings" in hint
    with pytest.raises(IndexError):
        read(3, last=90)


def test_a_head_smaller_than_the_embeddings_counts() -> None:
    model = build("llama", 90)
    model.lm_head = torch.nn.Linear(32, 80, bias=False)
    assert Limits.of(model).vocabulary == 80
    assert Limits.of(model).fault([79]) is None
    assert Limits.of(model).fault([80]) is not None


def test_the_first_text_that_cannot_be_read_is_named() -> None:
    limits = Limits.of(build("gpt2", 90, max_position_embeddings=8))
    limits.check([text("a", *range(8))])
    with pytest.raises(InputError, match=r"^record 'b': 9 tokens are more than .* 8 positions. Use --max-length 8."):
        limits.check([text("a", 1, 2), text("b", *range(9)), text("c", *range(10))])
    with pytest.raises(InputError, match=r"9 tokens are more .*\. Leave it out\.$"):
        limits.check([text("b", *range(9))], hint="Leave it out.")
    # The hint about lengths does not help against a token.
    with pytest.raises(InputError, match=r"gives token 95.* Resize the model's embeddings"):
        limits.check([text("b", 1, 95)], hint="Leave it out.")


def test_texts_beyond_the_context_are_told_and_read(capsys: pytest.CaptureFixture[str]) -> None:
    limits = Limits.of(build("llama", 90, max_position_embeddings=8))
    limits.check([text("a", *range(8))])
    assert capsys.readouterr().err == ""
    limits.check([text("a", *range(9)), text("b", *range(8)), text("c", *range(12))])
    told = " ".join(capsys.readouterr().err.split())
    assert told == ("warning: a and 1 more: longer than the 8 tokens that the model is made for. Use --max-length 8.")


@pytest.mark.parametrize(
    ("kind", "window"), [("llama", None), ("gpt2", None), ("gemma3_text", 16), ("gpt_neo", 16), ("recurrent_gemma", 16)]
)
def test_windows_of_attention(kind: str, window: int | None) -> None:
    assert attention_window(build(kind)) == window
