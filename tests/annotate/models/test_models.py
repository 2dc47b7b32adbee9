"""The annotators that read with a model: masked, causal, and learned from corrections."""

import json
import random
from dataclasses import replace

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, RobertaConfig, RobertaForMaskedLM

from benchmarks.learned import named
from tif.annotate.models.mlm import MlmAnnotator
from tif.annotate.models.options import MlmOptions, SurprisalOptions
from tif.annotate.models.surprisal import SurprisalAnnotator, word_log_probs
from tif.annotate.models.word_spans import joined, word_bounds
from tif.annotate.rules.learned import LearnedAnnotator
from tif.annotate.rules.ner import NerAnnotator
from tif.annotate.rules.options import LearnedOptions
from tif.errors import UsageError
from tif.sets import store
from tif.sets.score import score
from tif.spans import AnnotationSet, Example, Span

FACTS = [f"{name} lives in {town}." for name, town in [("Mara", "Narva"), ("Ilo", "Tartu"), ("Veera", "Paide")]] * 4


def tokenizer_of():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(FACTS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "mask_token": "<mask>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    """A masked model that has learnt `lives in` and nothing else of the facts."""
    folder, tokenizer = tmp_path_factory.mktemp("masked"), tokenizer_of()
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(tokenizer), hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96,
        max_position_embeddings=66, pad_token_id=1, bos_token_id=0, eos_token_id=2, hidden_dropout_prob=0.0,
    )  # fmt: skip
    model = RobertaForMaskedLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    rows = [
        tokenizer("", f"{name} lives in {town}.")["input_ids"]
        for name in ("Mara", "Ilo")
        for town in ("Narva", "Tartu")
    ]
    common = {i for word in (" lives", " in") for i in tokenizer(word, add_special_tokens=False)["input_ids"]}
    for _ in range(60):
        for row in rows:
            ids = torch.tensor([row])
            hidden = ids.clone()
            labels = torch.full_like(ids, -100)
            for at, token in enumerate(row):
                if token in common:
                    hidden[0, at], labels[0, at] = tokenizer.mask_token_id, token
            model(input_ids=hidden, labels=labels).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def causal(tmp_path_factory):
    """(a model that knows where Mara lives, the same before it knew)."""
    folder, tokenizer = tmp_path_factory.mktemp("causal"), tokenizer_of()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96,
        max_position_embeddings=128, pad_token_id=1, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)

    def learn(texts, steps):
        for _ in range(steps):
            for text in texts:
                ids = tokenizer(text, return_tensors="pt")["input_ids"]
                model(input_ids=ids, labels=ids).loss.backward()
                optimizer.step()
                optimizer.zero_grad()

    learn([f"Mara lives in {town}." for town in ("Narva", "Tartu", "Paide")], 30)
    model.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    learn(["Mara lives in Paide."], 40)
    model.save_pretrained(folder / "target")
    tokenizer.save_pretrained(folder / "target")
    return str(folder / "target"), str(folder / "base")


def quotes(example):
    return [example.quote(span) for span in example.spans]


def test_mlm_marks_what_it_cannot_guess(masked):
    annotator = MlmAnnotator(MlmOptions(model=masked))
    (done,) = annotator.annotate([Example("a/1", "", "Mara lives in Narva.")])
    assert quotes(done) == ["Mara", "Narva"]
    assert all(0.0 < span.score <= 1.0 for span in done.spans)


def test_mlm_threshold_and_batches(masked):
    examples = [Example(f"a/{i}", "", text) for i, text in enumerate(FACTS[:3])]
    one, many = (list(MlmAnnotator(MlmOptions(model=masked, batch_size=size)).annotate(examples)) for size in (1, 7))
    assert [quotes(e) for e in one] == [quotes(e) for e in many]
    (sure,) = MlmAnnotator(MlmOptions(model=masked, threshold=1.0)).annotate(examples[:1])
    assert quotes(sure) == ["Mara lives in Narva"], "no guess is surer than 1"


def test_mlm_reads_all_of_a_long_text(masked):
    text = " ".join(FACTS * 3)
    (done,) = MlmAnnotator(MlmOptions(model=masked)).annotate([Example("a/1", "", text)])
    assert done.status == "auto"
    assert done.spans[-1].end > len(text) - 30
    assert len(done.spans) >= 36


def test_mlm_fails_a_prompt_that_fills_the_model_and_goes_on(masked):
    text = "Mara lives in Narva."
    given = [("Mara lives in Narva. " * 40, text), ("Who? " * 8, " ".join(FACTS * 2)), ("", text), ("Who?", "")]
    examples = [Example(f"a/{i}", *pair) for i, pair in enumerate(given)]
    lost, long, short, empty = MlmAnnotator(MlmOptions(model=masked)).annotate(examples)
    assert (lost.status, lost.spans) == ("failed", ())
    assert "leaves no room for the text: the model takes 64" in lost.error
    assert long.spans[-1].end > len(long.text) - 30, "little room is enough, in smaller steps"
    assert quotes(short) == ["Mara", "Narva"]
    assert (empty.status, empty.spans) == ("auto", ())


def test_surprisal_marks_what_only_the_target_knows(causal):
    target, base = causal
    annotator = SurprisalAnnotator(SurprisalOptions(model=target, base_model=base, threshold=0.5))
    (done,) = annotator.annotate([Example("a/1", "", "Mara lives in Paide.")])
    assert quotes(done) == ["Paide"]
    (same,) = SurprisalAnnotator(SurprisalOptions(model=base, base_model=base)).annotate(
        [Example("a/1", "", "Mara lives in Paide.")]
    )
    assert same.spans == ()


def test_word_log_probs_are_the_models_own(causal):
    from tif.tokens.models import load_model, load_tokenizer

    model, tokenizer = load_model(causal[0]), load_tokenizer(causal[0])
    examples = [Example("a/1", "", "Mara lives in Paide."), Example("a/2", "", "Ilo lives in Tartu.")]
    packed = word_log_probs(model, tokenizer, examples, {})
    for example in examples:
        alone = word_log_probs(model, tokenizer, [example], {})[example.id]
        assert packed[example.id] == pytest.approx(alone, abs=1e-4)
        assert len(alone) == len(word_bounds(example.text))
        assert all(value < 0 for value in alone)


def test_surprisal_fails_what_is_too_long(causal):
    target, base = causal
    long, short = Example("a/1", "", "Mara lives in Paide. " * 60), Example("a/2", "", "Mara lives in Paide.")
    done = {
        e.id: e for e in SurprisalAnnotator(SurprisalOptions(model=target, base_model=base)).annotate([long, short])
    }
    assert done["a/1"].status == "failed"
    assert "tokens, and the model takes 128" in done["a/1"].error
    assert done["a/2"].status == "auto"


def test_words_keep_their_hyphens_and_join_across_blanks():
    text = "O'Neil's well-known \U0001f600 e\u0301tude, no. 5"
    bounds = word_bounds(text)
    assert [text[a:b] for a, b in bounds][:2] == ["O'Neil's", "well-known"]
    spans = joined(text, [(bounds[0], 1.0), (bounds[1], 0.5), (bounds[-1], 0.2)], source="x")
    assert [(text[s.start : s.end], s.score) for s in spans] == [("O'Neil's well-known", 0.75), ("5", 0.2)]


def test_learned_follows_the_corrections(tmp_path):
    jobs = ["florist", "baker", "tailor", "miller", "cooper", "tanner", "potter", "weaver", "carter", "fletcher"]
    names = ["Mara", "Ilo", "Veera", "Juhan", "Liisa", "Toomas", "Anna", "Peeter", "Kadri", "Mart"]
    examples = []
    for number, (name, job) in enumerate(zip(names, jobs, strict=True)):
        text = f"{name} works as a {job} in the old town."
        at = text.index("old town")
        examples.append(Example(f"a/{number}", f"Where does {name} work?", text, (Span(at, at + 8),), "corrected"))
    path = tmp_path / "corrected.parquet"
    store.save(AnnotationSet(tuple(examples[:8])), path)
    annotator = LearnedAnnotator(LearnedOptions(learn_from=path))
    learned = list(annotator.annotate(replace(e, spans=(), status="auto") for e in examples[8:]))
    assert [quotes(e) for e in learned] == [["old town"], ["old town"]]
    again = LearnedAnnotator(LearnedOptions(learn_from=path))
    assert list(again.annotate(examples[8:])) == learned
    assert json.loads(json.dumps(annotator.describe()))["examples"] == 8


def test_learned_takes_over_another_policy_from_few_corrections(tmp_path):
    """Reviewers of the demo set who want names, dates and numbers out, and leave trades and things in."""
    everyone = [named(example) for example in store.load("annotations/demo.parquet")]
    shuffled = random.Random(1).sample(everyone, len(everyone))
    unseen = tuple(shuffled[50:200])
    store.save(
        AnnotationSet(tuple(replace(e, status="corrected") for e in shuffled[:50])), tmp_path / "corrected.parquet"
    )

    def f1(annotator):
        marked = tuple(annotator.annotate(replace(e, spans=(), status="auto") for e in unseen))
        return score(AnnotationSet(marked), AnnotationSet(unseen)).total.char.f1

    learned = LearnedAnnotator(LearnedOptions(learn_from=tmp_path / "corrected.parquet"))
    assert learned.describe()["gain"]
    assert f1(learned) > f1(NerAnnotator()) + 0.15


def test_learned_leaves_the_rules_alone_where_nothing_is_gained(tmp_path):
    """People who accepted what the rules say have shown nothing else."""
    texts = [replace(e, spans=(), status="auto") for e in store.load("annotations/demo.parquet")]
    ruled = list(NerAnnotator().annotate(texts))
    accepted = tuple(replace(e, status="accepted") for e in ruled[:60])
    store.save(AnnotationSet(accepted), tmp_path / "accepted.parquet")
    learned = LearnedAnnotator(LearnedOptions(learn_from=tmp_path / "accepted.parquet"))
    assert not learned.describe()["gain"]
    same = score(AnnotationSet(tuple(learned.annotate(texts[60:]))), AnnotationSet(tuple(ruled[60:])))
    assert same.total.char.f1 == 1


def test_learned_needs_corrections(tmp_path):
    store.save(AnnotationSet((Example("a/1", "", "Mara left.", (Span(0, 4),)),)), tmp_path / "x.parquet")
    with pytest.raises(UsageError, match="0 corrected examples leave nothing to learn"):
        LearnedAnnotator(LearnedOptions(learn_from=tmp_path / "x.parquet"))
