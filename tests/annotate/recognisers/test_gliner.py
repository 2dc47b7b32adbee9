"""`--method gliner` with the real library: a tiny model that is trained here, long, hostile and unreadable texts."""

import json
import random
import shutil
import socket
import sys
import types
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from tif.annotate.recognisers.gliner import WORDS, GlinerAnnotator
from tif.annotate.recognisers.options import GlinerOptions
from tif.annotate.recognisers.word_windows import Room, chosen, word_windows
from tif.entities import ENTITY_TYPES, label_of
from tif.errors import InputError, MissingError, UsageError
from tif.sets import store
from tif.spans import Example, Span

gliner = pytest.importorskip("gliner", reason="`make test` installs it: pip install --no-deps gliner sentencepiece")

NAMES = ["Mara Lind", "Ilo Kask", "Veera Pahk", "Olev Rand"]
TOWNS = ["Narva", "Tartu", "Paide"]
TEXTS = [f"{name} lives in {town} and writes." for name in NAMES for town in TOWNS]
ASKED = ("person", "location")
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
HOSTILE = [
    "", " ", "\u200b", "\N{FAMILY}\N{ZERO WIDTH JOINER}\N{BOY}", "e\u0301\u0301\u0301", "\u202eMara\u202c", "\x00\x07",
    "[SEP] [PAD] Mara", "<<ENT>> person <<SEP>> Mara Lind", "ﬁne İstanbul ß", "张伟住在北京", "\n\n\tMara\r\n", "🇪🇪🇪",
    "a" * 500, "\ufeffMara Lind",
]  # fmt: skip


def wordpiece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=SPECIAL)
    tokenizer.train_from_iterator([*TEXTS, *ASKED], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def untrained(folder, span_mode="markerV0", **more):
    """A GLiNER with random weights, whose tokenizer comes from a folder."""
    tokenizer = wordpiece()
    tokenizer.save_pretrained(folder / "tokenizer")
    encoder = {
        "model_type": "bert", "vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 64, "pad_token_id": 0,
        "initializer_range": 0.2, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    }  # fmt: skip
    config = gliner.GLiNERConfig(
        model_name=str(folder / "tokenizer"), encoder_config=encoder, hidden_size=32, max_len=40, max_width=4,
        dropout=0.0, num_rnn_layers=0, span_mode=span_mode, **more,
    )  # fmt: skip
    torch.manual_seed(0)
    return gliner.GLiNER.from_config(config, backbone_from_pretrained=False)


def row(model, text):
    words = [word for word, _, _ in model.data_processor.words_splitter(text)]
    people = [[at, at + 1, "person"] for at, pair in enumerate(pairwise(words)) if " ".join(pair) in NAMES]
    return {"tokenized_text": words, "ner": people + [[at, at, "location"] for at, w in enumerate(words) if w in TOWNS]}


@pytest.fixture(scope="module", params=["markerV0", "token_level"])
def trained(request, tmp_path_factory):
    """A model that has learnt where people and towns are in its texts: by spans, or by the first and the last word."""
    model = untrained(tmp_path_factory.mktemp("parts"), request.param, embed_ent_token=False).train()
    # It goes by each word alone: windows move words to other positions and give them other neighbours.
    encoder = model.model.token_rep_layer.bert_layer.model
    attention = encoder.encoder.layer[0].attention.output.dense
    for weight in (encoder.embeddings.position_embeddings.weight, attention.weight, attention.bias):
        weight.data.zero_()
        weight.requires_grad_(False)
    rows = [row(model, text) for text in TEXTS]
    collator = model.data_collator_class(model.config, data_processor=model.data_processor, prepare_labels=True)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    random.seed(0)
    for _ in range(80):
        total = 0.0
        for at in range(0, len(rows), 6):
            loss = model(**collator(rows[at : at + 6])).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            total += loss.item()
        if total < 0.01:
            break
    folder = tmp_path_factory.mktemp("trained")
    model.eval().save_pretrained(folder, safe_serialization=True)
    return str(folder)


@pytest.fixture(scope="module")
def chance(tmp_path_factory):
    """A random model, whose spans make no sense."""
    folder = tmp_path_factory.mktemp("chance")
    untrained(folder).save_pretrained(folder / "model", safe_serialization=True)
    return folder / "model"


@pytest.fixture
def offline(monkeypatch):
    def refused(*_args, **_options):
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


def annotated(model, *texts, **options):
    options = {"entities": ASKED, **options}
    return list(
        GlinerAnnotator(GlinerOptions(model=str(model), **options)).annotate(
            Example(f"a/{number}", "Who?", text) for number, text in enumerate(texts)
        )
    )


def marked(example):
    return [(example.quote(span), span.label) for span in example.spans]


def test_it_finds_what_the_model_learnt_with_canonical_types(trained, offline):
    done, emoji = annotated(trained, TEXTS[0], f"{TEXTS[0]} 🇪🇪👩‍👧 {TEXTS[5]}")
    assert marked(done) == [("Mara Lind", "PERSON"), ("Narva", "LOCATION")]
    assert {("Mara Lind", "PERSON"), ("Ilo Kask", "PERSON"), ("Paide", "LOCATION")} <= set(marked(emoji))
    assert done.status == "auto"
    assert {span.source for span in done.spans} == {f"gliner:{trained}"}
    assert all(0.5 < span.score <= 1.0 for span in done.spans)


def test_a_long_text_is_read_to_its_end(trained):
    """GLiNER alone reads the first 40 words."""
    text = " ".join(TEXTS * 4)
    for options in ({}, {"overlap": 0}, {"window": 24, "overlap": 12}, {"batch_size": 1}):
        (done,) = annotated(trained, text, **options)
        assert [done.quote(span) for span in done.spans if span.label == "PERSON"] == [
            n for n in NAMES for _ in TOWNS
        ] * 4
        assert [done.quote(span) for span in done.spans if span.label == "LOCATION"] == TOWNS * 16, options
        assert done.spans[-1].end > len(text) - 15


def test_a_word_longer_than_the_context_hides_no_other(trained):
    (done,) = annotated(trained, f"{TEXTS[0]} {'narva' * 300} {TEXTS[5]}")
    assert {("Mara Lind", "PERSON"), ("Ilo Kask", "PERSON"), ("Paide", "LOCATION")} <= set(marked(done))


@pytest.mark.parametrize("character", ["\u200d", "\u200b", "\x07", "\ufeff", "\u0301", "\ufe0f"])
def test_characters_without_tokens_shift_no_span(trained, character):
    """GLiNER alone counts only words with tokens, and marks earlier words instead."""
    (done,) = annotated(trained, f"Then {character} {TEXTS[0]} Ann{character * 3} {TEXTS[5]}")
    assert [pair for pair in marked(done) if pair[0][:3] != "Ann"] == [
        ("Mara Lind", "PERSON"),
        ("Narva", "LOCATION"),
        ("Ilo Kask", "PERSON"),
        ("Paide", "LOCATION"),
    ]


def test_a_short_text_has_the_spans_of_the_library(chance):
    model = gliner.GLiNER.from_pretrained(str(chance), local_files_only=True)
    texts = [" ".join(TEXTS[at : at + 4]) for at in range(5)] + ["", "Mara Lind"]
    count = 0
    for text, done in zip(texts, annotated(chance, *texts, threshold=0.45), strict=True):
        results = [
            (e["start"], e["end"], label_of(e["label"], "gliner"), pytest.approx(e["score"], abs=2e-4))
            for e in model.inference([text], list(ASKED), threshold=0.45)[0]
        ]
        assert [(span.start, span.end, span.label, span.score) for span in done.spans] == results
        count += len(results)
    assert count > 20


def test_batches_change_nothing(chance):
    texts = [*TEXTS, " ".join(TEXTS), *HOSTILE]
    assert annotated(chance, *texts, batch_size=1, threshold=0.4) == annotated(chance, *texts, threshold=0.4)


def test_hostile_texts_give_spans_of_the_text(chance, offline):
    for example, text in zip(annotated(chance, *HOSTILE, threshold=0.2), HOSTILE, strict=True):
        assert example.status == "auto", (text[:20], example.error)
        assert all(text[span.start : span.end].strip() == text[span.start : span.end] for span in example.spans)
        if not text.strip():
            assert example.spans == ()


@settings(max_examples=200, deadline=None)
@given(
    tokens=st.lists(st.integers(0, 12), max_size=60),
    words=st.integers(1, 20),
    room=st.none() | st.integers(1, 30),
    overlap=st.integers(0, 15),
)
def test_windows_cover_a_text_and_each_word_has_one_owner(tokens, words, room, overlap):
    cut = word_windows(tokens, Room(words=words, tokens=room, overlap=overlap))
    assert all(a.first < b.first <= a.end <= b.end for a, b in pairwise(cut))
    assert [at for window in cut for at in range(window.own_first, window.own_end)] == list(range(len(tokens)))
    for window in cut:
        assert window.first <= window.own_first <= window.own_end <= window.end
        assert window.end - window.first <= words
        alone = window.end - window.first == 1
        assert room is None or alone or sum(tokens[window.first : window.end]) <= room


def test_of_the_spans_of_two_windows_the_owners_stays_and_nothing_is_lost():
    def span(start, end, score):
        return Span(start, end, "PERSON", "gliner:m", score)

    whole, piece, other = span(10, 20, 0.6), span(10, 14, 0.9), span(30, 35, 0.55)
    assert chosen([(False, piece), (True, whole), (False, other)]) == [whole, other]
    assert chosen([(True, span(0, 5, 0.6)), (True, span(4, 9, 0.7)), (True, span(9, 12, 0.5))]) == [
        span(4, 9, 0.7),
        span(9, 12, 0.5),
    ]
    assert chosen([]) == []


def test_every_type_has_words_that_lead_back_to_it():
    assert {label_of(word, "gliner") for words in WORDS.values() for word in words} == set(WORDS)
    assert all(label_of(word, "gliner") == type_ for type_, words in WORDS.items() for word in words)
    assert set(ENTITY_TYPES) - set(WORDS) == {"OTHER"}
    assert sum(map(len, WORDS.values())) == 25


def test_entities_are_words_or_canonical_types(trained):
    assert GlinerAnnotator(GlinerOptions(model=trained, entities=("PERSON", "EMAIL", "person"))).describe()[
        "entities"
    ] == ["person", "email address"]
    (done,) = annotated(trained, TEXTS[0], entities=("PERSON", "LOCATION"))
    assert ("Mara Lind", "PERSON") in marked(done)
    (own,) = annotated(trained, TEXTS[0], entities=("person", "chess opening"), threshold=0.0)
    assert {span.label for span in own.spans} == {"PERSON", "chess opening"}
    with pytest.raises(UsageError, match="no words for the type OTHER"):
        annotated(trained, TEXTS[0], entities=("OTHER",))


def test_types_and_windows_beyond_the_model_are_refused(chance):
    with pytest.raises(UsageError, match="30 entity types leave no room for a text") as caught:
        annotated(chance, "", entities=tuple(f"kind {number}" for number in range(30)))
    assert "the model reads 64 tokens at a time" in str(caught.value)
    with pytest.raises(UsageError, match="41 words are more than the model's 40"):
        annotated(chance, "", window=41)


def test_a_text_that_the_model_cannot_read_fails_alone(chance, tmp_path):
    model = gliner.GLiNER.from_pretrained(str(chance), local_files_only=True)
    (lives,) = model.data_processor.transformer_tokenizer("lives", add_special_tokens=False)["input_ids"]
    encoder = model.model.token_rep_layer.bert_layer.model
    encoder.embeddings.word_embeddings.weight.data[lives] = float("nan")
    model.save_pretrained(tmp_path, safe_serialization=True)
    broken, fine = annotated(tmp_path, "Mara lives.", "Mara.")
    assert (broken.status, broken.spans, fine.status) == ("failed", (), "auto")
    assert "scores that are not numbers" in broken.error


def test_folders_without_a_usable_model_are_refused(chance, tmp_path, offline):
    def refused(folder):
        with pytest.raises((InputError, MissingError)) as caught:
            annotated(folder, "")
        return str(caught.value)

    def copy(name, **config):
        folder = shutil.copytree(chance, tmp_path / name)
        content = json.loads((folder / "gliner_config.json").read_text())
        (folder / "gliner_config.json").write_text(json.dumps({**content, **config}))
        return folder

    (tmp_path / "empty").mkdir()
    assert "it has no gliner_config.json" in refused(tmp_path / "empty")
    assert "no model folder" in refused(tmp_path / "nothing")
    assert "a file, not a model folder" in refused(chance / "gliner_config.json")
    unread = copy("unread")
    (unread / "gliner_config.json").write_text("[]")
    assert "gliner_config.json: is not an object" in refused(unread)
    bare = copy("bare")
    (bare / "model.safetensors").unlink()
    assert "no safetensors in this model folder (weights are read from model.safetensors only" in refused(bare)
    (bare / "model.safetensors").write_bytes(b"abc")
    assert "no usable GLiNER model in this folder" in refused(bare)
    partly = copy("partly")
    from safetensors.torch import load_file, save_file

    tensors = load_file(partly / "model.safetensors")
    first = sorted(tensors)[0]
    del tensors[first]
    save_file(tensors, partly / "model.safetensors")
    assert f"the weights lack 1 of its tensors, first {first}" in refused(partly)
    line = refused("nobody/gliner-nothing")
    assert "no model 'nobody/gliner-nothing' on this machine" in line
    assert "hf download nobody/gliner-nothing" in line
    elsewhere = copy("elsewhere", encoder_config=None, model_name="nobody/encoder")
    line = refused(elsewhere)
    assert "gliner_config.json, model_name: no model 'nobody/encoder' on this machine" in line
    assert "Traceback" not in line


def test_a_models_own_code_is_never_run(chance, tmp_path):
    folder = shutil.copytree(chance, tmp_path / "own")
    content = json.loads((folder / "gliner_config.json").read_text())
    content["encoder_config"]["auto_map"] = {"AutoModel": f"{folder}--own.Model"}
    (folder / "gliner_config.json").write_text(json.dumps(content))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(InputError, match="tif runs no code of a model"):
        annotated(folder, "")

    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    pickled = shutil.copytree(chance, tmp_path / "pickled")
    (pickled / "model.safetensors").unlink()
    torch.save({"a": Trap()}, pickled / "pytorch_model.bin")
    with pytest.raises(InputError, match="no safetensors in this model folder"):
        annotated(pickled, "")
    assert not (tmp_path / "ran").exists()


def test_without_gliner_or_with_one_that_does_not_run_a_line_says_what_to_install(chance, monkeypatch):
    monkeypatch.setitem(sys.modules, "gliner", None)
    with pytest.raises(MissingError, match="GLiNER is not installed") as caught:
        annotated(chance, "")
    assert "pip install 'tif-unlearning[gliner]'" in str(caught.value)
    monkeypatch.setitem(sys.modules, "gliner", types.ModuleType("gliner"))  # without the class, as other versions
    with pytest.raises(MissingError) as caught:
        annotated(chance, "")
    import transformers

    assert f"gliner {gliner.__version__} does not run with transformers {transformers.__version__}" in str(caught.value)
    assert "ImportError: cannot import name 'GLiNER'" in str(caught.value)


def test_the_command_line_resumes_and_applies_a_policy(trained, tmp_path, cli):
    data, out, policy = tmp_path / "texts.jsonl", tmp_path / "set.parquet", tmp_path / "policy.toml"
    data.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    policy.write_text('default = "unlearn"\n[types]\nPERSON = "keep"\n')
    command = [
        "annotate",
        "--method",
        "gliner",
        "--model",
        trained,
        "--entities",
        "person, location",
        "--dataset",
        data,
    ]
    command += ["--out", out, "--json"]
    assert cli(*command, "--limit", 5).code == 0
    result = cli(*command)
    report = json.loads(result.out)
    assert (report["reused"], report["new"], report["failed"]) == (5, 7, 0)
    method = report["method"]
    assert (method["name"], method["entities"], method["threshold"]) == ("gliner", ["person", "location"], 0.5)
    assert len(method["model_digest"]) == len(method["tokenizer_digest"]) == 64
    assert method["libraries"] == {"gliner": gliner.__version__}
    assert cli(*command, "--entities-policy", policy).code == 0
    assert {span.label for example in store.load(out) for span in example.spans} == {"LOCATION"}
    assert json.loads(cli(*command, "--batch-size", 2).out)["reused"] == 12, "a batch size changes no result"
    assert json.loads(cli(*command, "--threshold", 0.4).out)["reused"] == 0
    missing = cli("annotate", "--method", "gliner", "--dataset", data, "--out", out)
    assert missing.code == 2
    assert "--model" in missing.err
