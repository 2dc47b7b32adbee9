"""`--method hf`: a trained token classifier finds people; long, hostile and unreadable texts; the command line."""

import json
import random
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForTokenClassification,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForTokenClassification,
)

from tif.annotate.models.hf import HfAnnotator
from tif.annotate.models.options import HfOptions
from tif.annotate.models.windows import windows
from tif.errors import InputError, MissingError, UsageError
from tif.sets import store
from tif.spans import Example
from tif.text import mentions

NAMES = ["Mara Lind", "Ilo Kask", "Veera Pahk", "Olev Rand"]
TOWNS = ["Narva", "Tartu", "Paide"]
TEXTS = [f"{name} lives in {town} and writes." for name in NAMES for town in TOWNS]
PAIRS = [f"{name} lives in {a} {b} and writes." for name in NAMES[:2] for a in TOWNS for b in TOWNS if a != b]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
TAGS = ["O", *(f"{place}-{type_}" for type_ in ("PER", "city") for place in "BIES")]
SEQUENCE = [("[CLS]", 2), ("[SEP]", 3)]
HOSTILE = [
    "", " ", "\u200b", "\N{FAMILY}\N{ZERO WIDTH JOINER}\N{BOY}", "e\u0301\u0301\u0301", "\u202eMara\u202c", "\x00\x07",
    "[SEP] [PAD] Mara", "ﬁne İstanbul ß", "张伟住在北京", "\n\n\tMara\r\n", "🇪🇪🇪", "a" * 500, "\ufeffMara Lind",
]  # fmt: skip


def wrapped(tokenizer, trainer):
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def wordpiece(size=90):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return wrapped(tokenizer, trainers.WordPieceTrainer(vocab_size=size, special_tokens=SPECIAL))


def bytelevel():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=330, special_tokens=SPECIAL, initial_alphabet=alphabet)
    return wrapped(tokenizer, trainer)


def bert(tokenizer, tags=TAGS, **more):
    torch.manual_seed(0)
    return BertForTokenClassification(
        BertConfig(
            vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
            max_position_embeddings=48, pad_token_id=0, id2label=dict(enumerate(tags)),
            label2id={tag: number for number, tag in enumerate(tags)}, hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0, **more,
        )
    ).eval()  # fmt: skip


def saved(folder, model, tokenizer):
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module", params=[wordpiece, bytelevel])
def chance(request, tmp_path_factory):
    """A random model, whose tags make no sense."""
    tokenizer = request.param()
    return saved(tmp_path_factory.mktemp("chance"), bert(tokenizer), tokenizer)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model that has learnt where people and towns are in its texts, with BIOES tags."""
    tokenizer = wordpiece(400)  # enough for each word to be a token
    model = bert(tokenizer).train()
    # It has to go by the words alone: windows move them to other positions and give them other neighbours.
    attention = model.bert.encoder.layer[0].attention.output.dense
    for weight in (model.bert.embeddings.position_embeddings.weight, attention.weight, attention.bias):
        weight.data.zero_()
        weight.requires_grad_(False)
    rows = []
    draw = random.Random(0)
    several = [" ".join(draw.sample(TEXTS, count)) for count in (2, 3, 3, 4, 4) for _ in range(6)]
    for text in [*TEXTS, *PAIRS, *several]:
        encoding = tokenizer(text, return_offsets_mapping=True)
        labels = [0] * len(encoding["input_ids"])
        words = [("PER", word) for word in NAMES] + [("city", word) for word in TOWNS]
        for type_, word in [pair for pair in words if pair[1] in text]:
            for start in mentions(text, word):
                inside = [
                    i for i, (a, b) in enumerate(encoding["offset_mapping"]) if start <= a < b <= start + len(word)
                ]
                for at in inside:
                    single, first, last = len(inside) == 1, at == inside[0], at == inside[-1]
                    place = "S" if single else "B" if first else "E" if last else "I"
                    labels[at] = TAGS.index(f"{place}-{type_}")
        rows.append((encoding["input_ids"], labels))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=5e-3)
    falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, total_iters=25)  # a steady rate ends anywhere
    for _ in range(26):
        for ids, labels in rows:
            model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        falling.step()
    return saved(tmp_path_factory.mktemp("trained"), model.eval(), tokenizer)


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """A random model that reads each token by itself: the window cannot change what it says."""
    tokenizer = wordpiece()
    model = bert(tokenizer, tags=["O", "B-PER", "I-PER", "B-LOC", "I-LOC"], initializer_range=0.6)
    model.bert.embeddings.position_embeddings.weight.data.zero_()
    model.bert.encoder.layer[0].attention.output.dense.weight.data.zero_()
    return saved(tmp_path_factory.mktemp("local"), model, tokenizer)


def annotated(model, *texts, **options):
    return list(
        HfAnnotator(HfOptions(model=model, **options)).annotate(
            Example(f"a/{i}", "Who?", text) for i, text in enumerate(texts)
        )
    )


def marked(example):
    return [(example.quote(span), span.label) for span in example.spans]


def test_it_finds_what_the_model_learnt_with_canonical_types(trained):
    (done,) = annotated(trained, TEXTS[0])
    assert marked(done) == [("Mara Lind", "PERSON"), ("Narva", "LOCATION")]
    assert done.status == "auto"
    assert {span.source for span in done.spans} == {f"hf:{trained}"}
    assert all(0.5 < span.score <= 1.0 for span in done.spans)


def test_neighbours_are_two_entities(trained):
    (done,) = annotated(trained, "Mara Lind lives in Narva Tartu and writes.")
    assert ("Mara Lind", "PERSON") in marked(done)
    assert marked(done)[1:] == [("Narva", "LOCATION"), ("Tartu", "LOCATION")], "the library's pipeline makes them one"


def test_the_tail_of_a_long_text_is_found(trained):
    text = " ".join(TEXTS * 4)
    (done,) = annotated(trained, text)
    assert done.quote(done.spans[-1]) == "Paide"
    assert done.spans[-1].end > len(text) - 15
    assert [done.quote(span) for span in done.spans if span.label == "PERSON"] == [n for n in NAMES for _ in TOWNS] * 4


def test_any_window_overlap_and_batch_give_the_same_for_a_local_model(local):
    texts = [" ".join(TEXTS[:count]) for count in (0, 1, 4, 9)] + HOSTILE
    expected = annotated(local, *texts)
    assert sum(len(example.spans) for example in expected) > 20
    for window, overlap, size in [(48, 0, 1), (48, 24, 3), (17, 5, 7), (4, 1, 64), (9, 100, 2)]:
        assert annotated(local, *texts, window=window, overlap=overlap, batch_size=size) == expected, (window, overlap)


def test_batches_change_nothing_for_a_model_with_context(trained):
    texts = [*TEXTS, " ".join(TEXTS), *HOSTILE]
    assert annotated(trained, *texts, batch_size=1) == annotated(trained, *texts, batch_size=7)


def test_windows_cover_a_text_and_the_last_is_full():
    for tokens in range(1, 40):
        for room in range(2, 12):
            for overlap in range(room // 2 + 1):
                cut = list(windows(0, tokens, room, overlap))
                assert cut[0].first == 0
                assert cut[-1].end == tokens
                assert {w.end - w.first for w in cut} == {min(room, tokens)}
                assert all(a.first < b.first <= a.end - overlap for a, b in pairwise(cut))


def test_hostile_texts_give_spans_of_the_text(chance):
    for example, text in zip(annotated(chance, *HOSTILE), HOSTILE, strict=True):
        assert example.status == "auto", text
        assert all(text[span.start : span.end].strip() for span in example.spans)
        if not text.strip():
            assert example.spans == ()


@settings(max_examples=60, deadline=None)
@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=80))
def test_any_text_gives_a_valid_example(text, chance):
    (example,) = _annotator(chance).annotate([Example("a/1", "", text)])
    assert (example.id, example.text, example.status) == ("a/1", text, "auto")
    last = 0
    for span in example.spans:
        assert last <= span.start
        assert text[span.start : span.end].strip() == text[span.start : span.end]
        last = span.end


def _annotator(model, cache={}):  # noqa: B006
    return cache.setdefault(model, HfAnnotator(HfOptions(model=model)))


def test_a_roberta_reads_to_its_last_position(tmp_path):
    tokenizer = bytelevel()
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=34, pad_token_id=1, id2label={0: "O", 1: "PER"}, label2id={"O": 0, "PER": 1},
    )  # fmt: skip
    folder = saved(tmp_path, RobertaForTokenClassification(config), tokenizer)
    assert HfAnnotator(HfOptions(model=folder)).describe()["window"] == 32
    (done,) = annotated(folder, " ".join(TEXTS))
    assert done.status == "auto"
    with pytest.raises(UsageError, match="33 tokens are more than the model's 32"):
        HfAnnotator(HfOptions(model=folder, window=33))


@pytest.mark.parametrize("wanted", ["PERSON", "PER"])
def test_entities_restrict_the_types_by_either_name(trained, wanted):
    (done,) = annotated(trained, TEXTS[0], entities=(wanted,))
    assert marked(done) == [("Mara Lind", "PERSON")]


def test_an_unknown_type_is_refused_with_the_known_ones(trained):
    with pytest.raises(UsageError) as caught:
        HfAnnotator(HfOptions(model=trained, entities=("EMAIL",)))
    assert "this model has no entity type 'EMAIL'" in str(caught.value)
    assert "Known: LOCATION, PER, PERSON, city." in str(caught.value)


def test_models_that_tag_nothing_are_refused(tmp_path):
    tokenizer = wordpiece()
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2)
    untrained = saved(tmp_path / "masked", BertForMaskedLM(config), tokenizer)
    with pytest.raises(InputError, match="is not a token-classification model") as caught:
        HfAnnotator(HfOptions(model=untrained))
    assert "first classifier.bias" in str(caught.value)
    nameless = saved(tmp_path / "nameless", bert(tokenizer, tags=["LABEL_0", "LABEL_1"]), tokenizer)
    with pytest.raises(InputError, match="no tag of this model means `no entity`") as caught:
        HfAnnotator(HfOptions(model=nameless))
    assert "its tags are LABEL_0, LABEL_1" in str(caught.value)
    with pytest.raises(MissingError):
        HfAnnotator(HfOptions(model=str(tmp_path / "nothing")))


def test_a_models_own_code_is_never_run(tmp_path):
    folder = tmp_path / "remote"
    saved(folder, bert(wordpiece()), wordpiece())
    config = json.loads((folder / "config.json").read_text())
    own = {"AutoConfig": "own.Config", "AutoModelForTokenClassification": "own.Model"}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "own", "auto_map": own}))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(InputError, match="no usable token classifier"):
        HfAnnotator(HfOptions(model=str(folder)))
    assert not (tmp_path / "ran").exists()


def test_weights_that_are_pickled_are_refused(tmp_path):
    model = bert(wordpiece())
    saved(tmp_path, model, wordpiece())
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="no usable token classifier"):
        HfAnnotator(HfOptions(model=str(tmp_path)))


def test_a_text_that_the_model_cannot_read_fails_alone(tmp_path):
    tokenizer = wordpiece()
    model = bert(tokenizer)
    (mara,) = tokenizer("lives", add_special_tokens=False)["input_ids"][:1]
    model.bert.embeddings.word_embeddings.weight.data[mara] = float("nan")
    broken, fine = annotated(saved(tmp_path / "nan", model, tokenizer), "Mara lives.", "Mara.", batch_size=1)
    assert (broken.status, broken.spans, fine.status) == ("failed", (), "auto")
    assert "scores that are not numbers" in broken.error
    small = bert(tokenizer)
    small.resize_token_embeddings(20)
    (lost,) = annotated(saved(tmp_path / "small", small, tokenizer), "Mara lives.")
    assert lost.status == "failed"
    assert "embeddings for 20 tokens" in lost.error


def test_the_command_line_resumes_and_applies_a_policy(trained, tmp_path, cli):
    data, out, policy = tmp_path / "texts.jsonl", tmp_path / "set.parquet", tmp_path / "policy.toml"
    data.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    policy.write_text('default = "unlearn"\n[types]\nPERSON = "keep"\n')
    command = ["annotate", "--method", "hf", "--model", trained, "--dataset", data, "--out", out, "--json"]
    assert cli(*command, "--limit", 5).code == 0
    report = json.loads(cli(*command).out)
    assert (report["reused"], report["new"], report["failed"]) == (5, 7, 0)
    method = report["method"]
    assert (method["name"], method["tags"], method["window"], method["overlap"]) == ("hf", "BIOES", 48, 23)
    assert len(method["model_digest"]) == 64
    assert cli(*command, "--entities-policy", policy).code == 0
    assert {span.label for example in store.load(out) for span in example.spans} == {"LOCATION"}
    assert json.loads(cli(*command, "--batch-size", 2).out)["reused"] == 12, "a batch size changes no result"
    assert json.loads(cli(*command, "--overlap", 2).out)["reused"] == 0
    missing = cli("annotate", "--method", "hf", "--dataset", data, "--out", out)
    assert missing.code == 2
    assert "--model" in missing.err
