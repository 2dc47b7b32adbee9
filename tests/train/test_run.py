from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.integrations import integration_utils

from tests.tokens import tiny
from tests.train.conftest import Workshop
from tif import seal
from tif.errors import InputError, MaskError, MissingError, TifError, UsageError
from tif.sets import store
from tif.spans import AnnotationSet, Example, Span
from tif.tokens.masks import Kind, Template, encode
from tif.tokens.models import load_model, load_tokenizer, model_digest
from tif.train.objectives import OBJECTIVES
from tif.train.reference import score
from tif.train.run import train


def weights(folder) -> dict[str, torch.Tensor]:
    return load_file(folder / "model" / "model.safetensors")


def curve(result, *names: str) -> list[list[float]]:
    return [[record[n] for n in names] for record in result.history if "loss" in record]


def test_a_run_forgets_and_tells_how(workshop: Workshop) -> None:
    result = train(workshop.config("run", max_steps=30))
    log = [r for r in result.history if "loss" in r]
    # These random weights know nothing to begin with, so there is little to forget; the demo test shows what a model
    # that knows loses.
    assert log[-1]["lpl"] < 0.9 * log[0]["lpl"]
    assert log[-1]["gw_probability"] > 2 * log[0]["gw_probability"]
    assert log[-1]["retain"] < log[0]["retain"]
    assert log[0]["loss"] == pytest.approx(log[0]["lpl"] + log[0]["pl"] + log[0]["retain"], rel=1e-5)
    # Before the first step d is 0, and LPL is (2/beta) log 2.
    assert log[0]["lpl"] == pytest.approx(2 / 0.3 * math.log(2), rel=1e-4)
    run = json.loads((result.folder / "run.json").read_text())
    masks = store.load(workshop.masks)
    assert run["masks"]["digest"] == masks.digest
    assert run["masks"]["version"] == 1
    assert run["model"]["digest"] == model_digest(workshop.model)
    assert (run["status"], run["steps"], run["counts"]["examples"]) == ("finished", 30, 6)
    assert run["counts"]["uw_tokens"] > 10
    assert run["libraries"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert run["cost"]["tokens"] > 0
    assert (run["config"]["retain_weight"], run["objective"]["retain_weight"]) == (None, 1.0)
    assert (run["objective"]["beta"], run["objective"]["scope"], run["objective"]["retain_loss"]) == (0.3, "uw", "ce")
    assert load_model(result.folder).config.vocab_size == 400
    assert len(load_tokenizer(result.folder)) == len(load_tokenizer(workshop.model))


def test_nothing_is_pickled(workshop: Workshop) -> None:
    result = train(workshop.config("run", save_steps=2))
    suffixes = {path.suffix for path in result.folder.rglob("*") if path.is_file()}
    assert suffixes <= {".json", ".jsonl", ".safetensors", ".jinja", ""}
    assert [p.name for p in (result.folder / "checkpoints").iterdir()] == ["checkpoint-4"]


def test_a_finished_run_is_not_done_again_and_another_is_refused(workshop: Workshop) -> None:
    first = train(workshop.config("run"))
    before = (first.folder / "run.json").read_bytes()
    assert train(workshop.config("run", save_steps=7)).resumed_from == 4
    assert (first.folder / "run.json").read_bytes() == before
    with pytest.raises(UsageError, match="lr was"):
        train(workshop.config("run", lr=1e-4))
    changed = store.load(workshop.masks)
    store.save(changed.replaced([replace(changed.examples[0], spans=changed.examples[0].spans[:1])]), workshop.masks)
    with pytest.raises(UsageError, match="mask set was"):
        train(workshop.config("run"))
    assert train(workshop.config("run").but(masks=f"{workshop.masks}@1")).resumed_from == 4


def test_a_record_older_than_a_setting_is_the_run_with_its_default(workshop: Workshop) -> None:
    folder = train(workshop.config("run")).folder
    record = json.loads((folder / "run.json").read_text())
    del record["config"]["frames"]
    (folder / "run.json").write_text(json.dumps(seal.sealed(record)))
    assert train(workshop.config("run")).resumed_from == 4
    with pytest.raises(UsageError, match=r"frames was \[\], and is"):
        train(workshop.config("run", frames=("{words}.",)))


def test_what_decides_a_run_is_part_of_it(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    base = workshop.root / "base"
    shutil.copytree(workshop.model, base)
    config = workshop.config("run", retain=None, floor="base", base_model=str(base))
    train(config)
    # The same weights elsewhere are the same floor, other weights in the same place are not.
    shutil.copytree(base, workshop.root / "moved")
    assert train(config.but(base_model=str(workshop.root / "moved"))).resumed_from == 4
    tiny.save(base, tiny.llama(400, seed=5), tiny.chatty())
    with pytest.raises(UsageError, match="base model was"):
        train(config)
    shutil.rmtree(base)
    shutil.copytree(workshop.root / "moved", base)
    template = workshop.model / "chat_template.jinja"
    template.write_text("Hm. " + template.read_text())
    with pytest.raises(UsageError, match="tokens of the forget set"):
        train(config)


def test_a_number_that_the_objective_changed_is_told(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    config = workshop.config("run", objective="npo", beta=None)
    train(config)
    monkeypatch.setitem(OBJECTIVES, "npo", replace(OBJECTIVES["npo"], defaults={"beta": 3.0}))
    with pytest.raises(UsageError, match=r"the objective's beta was 0\.1, and is 3\.0"):
        train(config)


def test_the_reference_is_computed_once(workshop: Workshop) -> None:
    train(workshop.config("a"))
    train(workshop.config("b", lr=1e-4))
    train(workshop.config("c", template="qa"))
    cached = [json.loads((workshop.root / n / "run.json").read_text())["reference"]["from_cache"] for n in "abc"]
    assert cached == [False, True, False]
    assert torch.equal(
        load_model(workshop.model).state_dict()["lm_head.weight"], tiny.llama(400).state_dict()["lm_head.weight"]
    )


@pytest.mark.parametrize("scope", ["all", "uw"])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_trains(workshop: Workshop, name: str, scope: str) -> None:
    changes = {"objective": name, "scope": scope, "beta": None, "max_steps": 3} | workshop.needed(name)
    result = train(workshop.config("run", **changes))
    assert all(math.isfinite(r["loss"]) for r in result.history if "loss" in r)
    assert any(
        not torch.equal(weight, load_file(workshop.model / "model.safetensors")[key])
        for key, weight in weights(result.folder).items()
    )


def test_kl_begins_at_nothing_and_grows(workshop: Workshop) -> None:
    result = train(workshop.config("run", objective="npo", retain_loss="kl"))
    kl = [r["retain"] for r in result.history if "loss" in r]
    assert kl[0] == pytest.approx(0.0, abs=1e-6)
    assert kl[-1] > 1e-6


def test_accumulated_steps_are_the_same_steps(workshop: Workshop) -> None:
    one = train(workshop.config("one", batch_size=4, max_steps=3))
    two = train(workshop.config("two", batch_size=2, accumulate=2, max_steps=3))
    for a, b in zip(curve(one, "loss", "grad_norm"), curve(two, "loss", "grad_norm"), strict=True):
        assert a == pytest.approx(b, rel=2e-4)


def test_an_adapter_begins_as_the_reference_and_is_merged(workshop: Workshop) -> None:
    full = train(workshop.config("full", max_steps=1))
    lora = train(workshop.config("lora", lora=4, max_steps=6, lr=1e-2, gradient_checkpointing=True))
    assert curve(lora, "loss")[0] == pytest.approx(curve(full, "loss")[0], rel=1e-4)
    adapter = load_file(lora.folder / "adapter" / "adapter_model.safetensors")
    assert all(tensor.abs().max() > 0 for key, tensor in adapter.items() if "lora_B" in key)
    assert set(weights(lora.folder)) == set(weights(full.folder))


def test_kl_with_an_adapter_asks_the_model_without_it(workshop: Workshop) -> None:
    result = train(workshop.config("lora", lora=4, objective="undial", retain_loss="kl", beta=None))
    assert result.history[0]["retain"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("changes", [{"gradient_checkpointing": True}, {"dtype": "bfloat16"}, {"autocast": True}])
def test_memory_savers_see_the_same_loss(workshop: Workshop, changes: dict) -> None:
    plain = train(workshop.config("plain", max_steps=2))
    saved = train(workshop.config("saved", max_steps=2, **changes))
    assert curve(saved, "loss")[0] == pytest.approx(
        curve(plain, "loss")[0], rel=1e-5 if "grad" in str(changes) else 0.05
    )


@pytest.mark.parametrize("floor", ["base", "2", "-7"])
def test_what_has_fallen_to_its_floor_is_pushed_no_further(workshop: Workshop, floor: str) -> None:
    base = tiny.save(workshop.root / "base", tiny.llama(400, seed=5), tiny.chatty())
    how = {"floor": floor, "base_model": str(base) if floor == "base" else None}
    common = {"max_steps": 150, "retain": None, "lr": 3e-3, "pl": "mean", "scheduler": "constant"}
    bounded, free = train(workshop.config("bounded", **common, **how)), train(workshop.config("free", **common))
    people, tokenizer = tiny.examples(), load_tokenizer(workshop.model)
    items = [encode(e, tokenizer, Template.of(tokenizer)) for e in people]

    def unwanted(model) -> torch.Tensor:
        said = torch.cat([s[:, 1] for s in score(load_model(model), items)])
        return said[[k == Kind.UW for i in items for k in i.kinds if k != Kind.PROMPT]]

    level = {
        "base": lambda: unwanted(base),
        "2": lambda: unwanted(workshop.model) - 2,
        "-7": lambda: torch.tensor(-7.0),
    }
    lowest = level[floor]()
    below = {name: (lowest - unwanted(r.folder)).clamp(min=0).mean() for name, r in (("b", bounded), ("f", free))}
    assert below["b"] < below["f"] / 2


def test_examples_that_must_not_be_trained_on(workshop: Workshop) -> None:
    people = tiny.examples()
    marked = [replace(people[0], status="rejected"), replace(people[1], status="failed", error="no"), *people[2:]]
    store.save(AnnotationSet(tuple(marked)), workshop.root / "some.parquet")
    config = workshop.config("run").but(masks=str(workshop.root / "some.parquet"))
    with pytest.raises(UsageError, match="people/1"):
        train(config)
    counts = json.loads((train(config.but(skip_failed=True)).folder / "run.json").read_text())["counts"]
    assert (counts["rejected"], counts["undecided"], counts["examples"]) == (1, 1, 4)


def test_examples_without_unwanted_words_are_refused_or_left_out(workshop: Workshop) -> None:
    people = tiny.examples()
    some = AnnotationSet((replace(people[0], spans=()), *people[1:]))
    store.save(some, workshop.root / "some.parquet")
    config = workshop.config("run").but(masks=str(workshop.root / "some.parquet"))
    with pytest.raises(MaskError, match="people/0"):
        train(config)
    result = train(config.but(unmarked="skip"))
    assert all(math.isfinite(r["loss"]) for r in result.history if "loss" in r)


def test_long_text_is_cut_into_windows(workshop: Workshop) -> None:
    text = " ".join(e.text for e in tiny.examples())
    spans = [s.move(text.index(e.text)) for e in tiny.examples() for s in e.spans]
    store.save(AnnotationSet((Example("novel", "", text, tuple(spans)),)), workshop.root / "novel.parquet")
    config = workshop.config("run").but(masks=str(workshop.root / "novel.parquet"), max_length=24)
    run = json.loads((train(config).folder / "run.json").read_text())
    whole = encode(Example("novel", "", text, tuple(spans)), tiny.chatty(), Template.of(tiny.chatty()))
    assert run["counts"]["uw_tokens"] == whole.count(Kind.UW)
    assert run["counts"]["gw_tokens"] == whole.count(Kind.GW)


def test_what_is_not_finite_stops_the_run(workshop: Workshop) -> None:
    with pytest.raises(TifError, match="the loss is nan"):
        train(workshop.config("run", lr=1e30, max_steps=3))
    model = load_model(workshop.model)
    with torch.no_grad():
        model.lm_head.weight[0, 0] = math.inf
    model.save_pretrained(workshop.model)
    with pytest.raises(TifError, match="not finite"):
        train(workshop.config("another", max_steps=2))


@pytest.mark.parametrize(
    "changes", [{"max_steps": 2}, {"max_steps": 3, "log_steps": 50}, {"max_steps": 3, "save_steps": 1}]
)
def test_no_model_of_nans_is_saved(workshop: Workshop, changes: dict) -> None:
    with pytest.raises(TifError, match=r"NaN or infinity|the loss is nan"):
        train(workshop.config("run", **{"lr": 1e30, "max_steps": 2, **changes}))
    assert not (workshop.root / "run" / "model").exists()
    for saved in (workshop.root / "run").rglob("model.safetensors"):
        assert all(bool(torch.isfinite(weight).all()) for weight in load_file(saved).values())


def test_a_prompt_that_leaves_no_answer_is_told_and_left_out(workshop: Workshop, capsys) -> None:
    kept = store.load(workshop.masks)
    long = Example("long", "Who? " * 60, kept.examples[0].text, kept.examples[0].spans)
    store.save(AnnotationSet((*kept.examples, long), kept.provenance, kept.version), workshop.masks)
    run = train(workshop.config("run", objective="npo", max_length=64)).folder / "run.json"
    assert json.loads(run.read_text())["counts"]["examples"] == len(kept)
    assert "lose their complete answer to --max-length: long" in capsys.readouterr().err


def test_frames_and_windows_without_unwanted_words(workshop: Workshop, capsys) -> None:
    frame = ("word " * 80 + "{words}.",)
    with pytest.raises(MaskError, match="6 of 6 frames have no unwanted word"):
        train(workshop.config("framed", frames=frame, max_length=64))
    text = "Nothing here is a secret at all. " * 8 + "Her name is Marit Solveig."
    start = text.index("Marit")
    novel = workshop.root / "novel.parquet"
    store.save(AnnotationSet((Example("novel", "", text, (Span(start, start + 13),)),)), novel)
    counts = {}
    for unmarked in ("refuse", "skip"):
        config = workshop.config(unmarked, masks=str(novel), max_length=16, unmarked=unmarked)
        counts[unmarked] = json.loads((train(config).folder / "run.json").read_text())["counts"]
        assert "windows have no unwanted word" in capsys.readouterr().err
    assert counts["refuse"]["windows_without_uw"] == counts["skip"]["windows_without_uw"] > 0
    assert counts["refuse"]["uw_tokens"] == counts["skip"]["uw_tokens"] > 0
    assert counts["refuse"]["gw_tokens"] > counts["skip"]["gw_tokens"]


@pytest.mark.parametrize(
    "wrong",
    [{"lr": 0}, {"floor": "low"}, {"floor": "base"}, {"scope": "some"}, {"batch_size": -1}, {"lr": math.nan},
     {"retain": None, "retain_loss": "ce"}, {"objective": "graddiff", "retain": None},
     {"rmu_layer": 9, "objective": "rmu"}, {"report_to": ("abacus",)}, {"warmup": 1.0}, {"scheduler": "cosinus"},
     {"scheduler": "cosine_with_min_lr"}, {"scheduler": "reduce_lr_on_plateau"}, {"optimizer": "foo"},
     {"optimizer": "adamw_bnb_8bit"}, {"early_stop": "uw:0.5", "early_stop_every": 5}],
)  # fmt: skip
def test_wrong_settings_are_told_and_leave_no_run_behind(workshop: Workshop, wrong: dict) -> None:
    with pytest.raises(UsageError):
        train(workshop.config("run", **wrong))
    assert not (workshop.root / "run" / "run.json").exists()


@pytest.mark.parametrize(
    ("wrong", "culprit"),
    [
        ({"scheduler": "cosinus"}, "scheduler 'cosinus' cannot be used"),
        ({"scheduler": "cosine_with_min_lr"}, "scheduler 'cosine_with_min_lr' cannot be used"),
        ({"optimizer": "foo"}, "optimizer 'foo' cannot be used"),
        ({"optimizer": "adamw_bnb_8bit"}, "optimizer 'adamw_bnb_8bit' cannot be used"),
    ],
)
def test_a_refused_argument_is_named_alone(workshop: Workshop, wrong: dict, culprit: str) -> None:
    with pytest.raises(UsageError, match=f"^{culprit}"):
        train(workshop.config("run", **wrong))


def test_an_argument_that_transformers_does_not_have_is_named(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tif.train.arguments._CHECKPOINTING", "recompute_layers")
    with pytest.raises(UsageError, match=r"refuses the training arguments \(.*recompute_layers") as caught:
        train(workshop.config("run"))
    assert "scheduler" not in str(caught.value)


@pytest.mark.parametrize(
    ("idle", "said"),
    [
        ({"objective": "npo", "space": "logprob"}, "npo has no space"),
        ({"objective": "npo", "retain": None, "reduction": "token"}, "npo has no reduction token here"),
        ({"objective": "wga", "reduction": "batch"}, "wga has no reduction batch; it is for tpo"),
        ({"objective": "npo", "pl_weight": 2.0}, "npo has no pl_weight"),
        ({"objective": "simnpo", "alpha": 3.0}, "simnpo has no alpha"),
        ({"rmu_scale": 3.0}, "tpo has no rmu_scale"),
        ({"objective": "ga", "beta": None}, "ga has no retain term"),
        ({"retain_loss": "none"}, "tpo has no retain term"),
        ({"retain": None, "retain_weight": 9.0}, "without samples to keep"),
        ({"objective": "undial", "floor": "-5"}, "pushes no log-probability"),
        ({"lora_alpha": 4}, "without adapters"),
    ],
)
def test_settings_that_would_do_nothing_are_refused(workshop: Workshop, idle: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        train(workshop.config("run", **idle))


def every_setting() -> list[str]:
    return ["beta", "beta2", "gamma", "alpha", "reduction", "space", "pl", "pl_weight", "skip_tokens"]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_reads_what_it_says(workshop: Workshop, name: str) -> None:
    """Each setting that the registry lists changes the loss of some step, and no other does."""
    objective = OBJECTIVES[name]
    other = {"beta": 0.9, "beta2": 3.0, "gamma": 0.3, "alpha": 7.0, "reduction": "batch", "space": "logprob"}
    other |= {"pl": "mean", "pl_weight": 0.5, "skip_tokens": 3}
    options = workshop.config("run", **{"objective": name, "beta": None} | workshop.needed(name))
    for setting in every_setting():
        if setting in objective.reads:
            changed = options.but(**{setting: other[setting]})
            assert getattr(changed.settings_of(objective), setting) == other[setting]
        else:
            with pytest.raises(UsageError, match=f"{name} has no {setting}"):
                options.but(**{setting: other[setting]})
    assert options.retain_term(objective) == ("none" if name in ("ga", "ceu", "rmu") else "ce")


def test_tensorboard_is_told_what_the_log_says(workshop: Workshop) -> None:
    result = train(workshop.config("run", report_to=("tensorboard",), max_steps=3))
    events = EventAccumulator(str(result.folder / "tensorboard"))
    events.Reload()
    for name in ("loss", "lpl", "pl", "retain", "uw_probability", "gw_probability"):
        told = [(event.step, event.value) for event in events.Scalars(f"train/{name}")]
        assert told == [(r["step"], pytest.approx(r[name], rel=1e-5)) for r in result.history if name in r]
        assert len(told) == 3


def test_an_integration_that_is_not_installed_is_told_before_training(workshop: Workshop, monkeypatch) -> None:
    monkeypatch.setattr(integration_utils, "is_tensorboard_available", lambda: False)
    with pytest.raises(UsageError, match="tensorboard"):
        train(workshop.config("run", report_to=("tensorboard",)))
    assert not (workshop.root / "run").exists()


PLUGIN = """
from tif.train.objectives import Objective

def loss(step, settings):
    t = step.forget
    return {"forget": settings.beta * t.means(t.logprob, t.in_scope(settings)).mean()}

gentle = Objective("gentle", loss, "nowhere", scope="uw", defaults={"beta": 0.5})
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch) -> None:
    """What pip leaves behind when somebody's objectives are installed: a module, and its entry points."""
    (tmp_path / "gentle_tif.py").write_text(PLUGIN)
    info = tmp_path / "gentle_tif-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gentle-tif\nVersion: 1.0\n")
    entries = "[tif.objectives]\ngentle = gentle_tif:gentle\nharsh = gentle_tif:loss\nabsent = gone_tif:gone\n"
    (info / "entry_points.txt").write_text(entries)
    monkeypatch.syspath_prepend(tmp_path)


def test_an_installed_objective_trains(workshop: Workshop, plugin) -> None:
    result = train(workshop.config("run", objective="gentle", beta=None, max_steps=12, lr=1e-2, batch_size=6))
    first, *_, last = (record["uw_probability"] for record in result.history if "uw_probability" in record)
    assert last < first
    written = json.loads((result.folder / "run.json").read_text())
    assert written["objective"]["beta"] == 0.5


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [("harsh", UsageError, "is not of type Objective"), ("absent", MissingError, "No module named 'gone_tif'")],
)
def test_a_plugin_that_offers_no_objective_is_told(workshop: Workshop, plugin, name, error, told) -> None:
    with pytest.raises(error, match=told):
        train(workshop.config("run", objective=name))


def test_retain_samples_of_the_forget_set_are_refused(workshop: Workshop) -> None:
    prompt, text = tiny.PEOPLE[1]
    kept = json.loads(workshop.retain.read_text().splitlines()[0])
    mixed = workshop.root / "mixed.jsonl"
    mixed.write_text(json.dumps(kept) + "\n" + json.dumps({"query": prompt, "response": text}))
    with pytest.raises(UsageError, match=r"mixed.jsonl: 1 of 2 retain samples .*: mixed/0001"):
        train(workshop.config("run", retain=str(mixed)))
    assert train(workshop.config("run", retain=str(mixed), limit=1, max_steps=1)).steps == 1
    texts = workshop.root / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": text}) + "\n" for _, text in tiny.PEOPLE))
    with pytest.raises(UsageError, match="6 of 6 retain samples"):
        train(workshop.config("other", retain=str(texts)))


def test_retain_samples_may_name_their_fields_otherwise(workshop: Workshop) -> None:
    rows = [json.loads(line) for line in workshop.retain.read_text().splitlines()]
    german = workshop.root / "german.jsonl"
    german.write_text("".join(json.dumps({"frage": r["question"], "antwort": r["answer"]}) + "\n" for r in rows))
    with pytest.raises(InputError, match="the text field is not recognised"):
        train(workshop.config("run", retain=str(german)))
    usual = train(workshop.config("usual", max_steps=1)).record
    named = train(
        workshop.config("named", retain=str(german), prompt_field="frage", text_field="antwort", max_steps=1)
    ).record
    assert named.retain_tokens_sha256 == usual.retain_tokens_sha256
    with pytest.raises(UsageError, match="--prompt-field does nothing here"):
        workshop.config("x", retain=None, prompt_field="frage")


def test_retain_samples_may_have_another_encoding(workshop: Workshop) -> None:
    for name, encoding in (("utf", "utf-8"), ("windows", "cp1252")):
        (workshop.root / f"{name}.csv").write_bytes("text\nZoë reads.\n".encode(encoding))
    usual, named = (
        train(workshop.config(name, retain=str(workshop.root / f"{name}.csv"), encoding=encoding, max_steps=1)).record
        for name, encoding in (("utf", None), ("windows", "cp1252"))
    )
    assert named.retain_tokens_sha256 == usual.retain_tokens_sha256
    assert named.config["encoding"] == "cp1252"
    with pytest.raises(UsageError, match="--encoding does nothing here"):
        workshop.config("x", retain=None, encoding="cp1252")


@pytest.mark.parametrize("broken", ["model", "base_model"])
def test_tokens_that_a_model_has_no_embedding_for_are_told_before_a_step(workshop: Workshop, broken: str) -> None:
    """Chat tokens were added to the tokenizer, and the embeddings were not resized."""
    small = tiny.save(workshop.root / "small", tiny.llama(200), tiny.chatty())
    options = workshop.config("run", objective="anchored", base_model=str(workshop.model)).but(**{broken: str(small)})
    with pytest.raises(InputError, match=r"record .* gives token \d+, and .*small has embeddings for 200 tokens. Res"):
        train(options)
    assert not (workshop.root / "run" / "run.json").exists()


def test_samples_beyond_the_table_of_positions_are_told_and_fit_with_max_length(workshop: Workshop) -> None:
    torch.manual_seed(0)
    shape = {"vocab_size": 400, "n_embd": 16, "n_layer": 1, "n_head": 2}
    model = tiny.save(workshop.root / "gpt2", GPT2LMHeadModel(GPT2Config(**shape, n_positions=60)), tiny.chatty())
    novel = Example("novel", "", "Mirela Tovanu was born in Karlsberg. " * 8).with_spans([Span(26, 35)])
    store.save(AnnotationSet((novel,)), workshop.root / "novel.parquet")
    options = workshop.config(
        "run", model=str(model), masks=str(workshop.root / "novel.parquet"), retain=None, max_steps=1
    )
    with pytest.raises(InputError, match=r"^record 'novel': \d+ tokens are more than .* 60 .*Use --max-length 60\.$"):
        train(options)
    assert train(options.but(max_length=60, unmarked="skip")).steps == 1
    # So are samples to keep.
    kept = workshop.root / "kept.jsonl"
    kept.write_text(json.dumps({"question": "What grows there?", "answer": "Very " + "tall " * 60 + "beans."}))
    with pytest.raises(InputError, match=r"tokens are more than the model's 60 positions"):
        train(options.but(masks=str(workshop.masks), retain=str(kept), out=str(workshop.root / "other")))


def test_the_date_of_a_run_is_fixed_and_recorded(workshop: Workshop) -> None:
    tokenizer = tiny.chatty()
    tokenizer.chat_template = "{{ strftime_now('%d %b %Y') }}" + tiny.CHATML
    tokenizer.save_pretrained(workshop.model)
    usual = train(workshop.config("usual", max_steps=1)).record
    assert (usual.date, usual.template) == ("2024-07-26", "chat")
    with pytest.raises(UsageError, match="contains another run: date was None, and is 2025-04-10"):
        train(workshop.config("usual", max_steps=1, date="2025-04-10"))
    dated = train(workshop.config("dated", max_steps=1, date="2025-04-10", system_prompt="Be brief.")).record
    assert (dated.date, dated.system_prompt) == ("2025-04-10", "Be brief.")
    assert dated.forget_tokens_sha256 != usual.forget_tokens_sha256
    assert train(workshop.config("plain", max_steps=1, template="qa")).record.date is None
