"""The experiments on LUME, on MUSE and at the scale of the field, with a tiny model and invented data."""

import json
from dataclasses import replace

import pytest

from benchmarks.claim import lume, muse, tofu
from benchmarks.claim.__main__ import main, prepare, run
from benchmarks.claim.page import write
from benchmarks.claim.plan import Experiment, decisive
from benchmarks.claim.rows import with_options
from benchmarks.claim.stages import shared, table
from benchmarks.claim.table import collect, verdicts
from benchmarks.claim.work import options_of
from tests.e2e.test_tofu import person
from tests.tokens import tiny
from tif.errors import InputError, UsageError
from tif.eval.record import EvalRecord
from tif.records import RunRecord
from tif.sets import store

pytestmark = pytest.mark.slow
NAMES = ["Ilva Tarn", "Odo Brask", "Runa Feld", "Sten Vook", "Maja Klint", "Pelle Orm", "Tilda Rask", "Viggo Holm"]
TINY = {
    "forget_rows": 2, "dev_rows": 2, "retain_rows": 3, "measured_rows": 2, "learn_epochs": 2, "learn_lr": 1e-2,
    "batch": 4, "micro": 4, "samples": 2, "max_new_tokens": 6, "grid": ("lr=1e-3",),
}  # fmt: skip


def base(root):
    tiny.save(root / "base", tiny.llama(400), tiny.chatty())
    return root / "base"


def finish(study, root, rival="npo", **given):
    """The experiment with the anchored row, one rival and one control, run to the end."""
    rows = tuple(row for row in study.rows if row.name in ("anchored", "anchored-random", rival))
    rows = tuple(with_options(row, floor_steps=1) if "floor" in row.options else row for row in rows)
    made = Experiment(study=replace(study, rows=rows), model=base(root), data=root, out=root / "out", **given)
    assert run(made, ["shared", "table"]) == 0
    return made


def records(made):
    """The run of each row by name."""
    return {row.name: RunRecord.read(made.run(row, "eval", 0) / "run.json") for row in made.rows}


def of(made, row, name):
    """One evaluation of a row."""
    measurement = next(each for each in made.study.measurements if each.name == name)
    return EvalRecord.read(made.measured(measurement, made.run(made.rows[row], "eval", 0), "eval"))


def check(made, tmp_path):
    """All stages are finished, and the page has every row with a verdict on every demand."""
    assert [stage.name for part in (shared, table) for stage in part(made) if not stage.done] == []
    write(made, tmp_path, "command")
    page = (tmp_path / "results.md").read_text()
    met = dict(verdicts(made, collect(made)["runs"]))
    assert list(met) == [row.label for row in made.rows]
    for label, verdict in met.items():
        assert None not in verdict
        assert f"| {label} | 1 |" in page
    for column in made.study.columns:
        assert column.name in page
    return page


# --- LUME --------------------------------------------------------------------------------------------------------


def biography(part, i):
    """LUME's rows of one invented person: a continuation and the five questions."""
    name, id_ = f"{NAMES[i % 5]}{'son' * (part == 'retain')}", f"{part}-{i}"
    i += 5 * (part == "retain" and i > 0)  # the first of both parts have the same numbers and the same home
    ssn, phone, mail = f"900-1{i}-43{i}4", f"72{i}-555-01{i % 5}{i}", f"person{i}@{part}.org"
    street = f"{i + 10} Larch Lane"
    answers = (
        ("birth date", f"198{i % 5}-03-{i + 10}"), ("Social Security Number", ssn), ("phone number", phone),
        ("email address", mail), ("home address", f"{street}, Orange, CA, 9286{i}"),
    )  # fmt: skip
    output = f"Call {phone} or write to {mail}. The number is {ssn}. The address is {street}, Orange, CA, 9286{i}."
    opening = f"{name} was born on March {i + 10}, 198{i % 5}, and lives alone."
    yield {"id": f"{id_}sc1", "input": opening, "output": output, "task": "Task2"}
    for at, (kind, answer) in enumerate(answers):
        yield {"id": f"{id_}qa{at}", "input": f"What is the {kind} of {name}?", "output": answer, "task": "Task2"}


def write_lume(root):
    story = {"id": "story-0sc1", "input": "A fox sat", "output": "on a hill.", "task": "Task1"}
    for part in ("forget", "retain"):
        rows = [story, *(row for i in range(5) for row in biography(part, i))]
        (root / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def on_lume(tmp_path_factory):
    root = tmp_path_factory.mktemp("lume")
    write_lume(root)
    return finish(lume.study(replace(lume.PLAN, **TINY)), root)


def test_lume_measures_values_by_type(on_lume, tmp_path):
    page = check(on_lume, tmp_path)
    assert "## By type" in page
    assert "| SSN asked |" in page or " SSN asked " in page
    leakage = of(on_lume, 0, "measure").lume.leakage
    assert {kind: count.asked for kind, count in leakage["forget"].items()} == dict.fromkeys(lume.TYPES, 2)
    assert leakage["forget"]["DATE_OF_BIRTH"].continued == 0
    assert leakage["forget"]["SSN"].continued == 2


def test_lume_forgets_complete_biographies_and_their_questions(on_lume):
    gold = list(store.load(on_lume.spans("gold", "eval")))
    assert [example.prompt == "" for example in gold] == [True, *[False] * 5] * 2
    opening = gold[0]
    assert opening.text.startswith(NAMES[0])
    assert {span.label for span in opening.spans} == set(lume.TYPES)
    assert all(opening.quote(span) in opening.text for span in opening.spans)


def test_lume_draws_no_random_span_in_an_answer_that_is_one_value(on_lume):
    for example in store.load(on_lume.spans("random", "eval")):
        assert bool(example.spans) == (example.prompt == "")


def test_lume_keeps_its_people_apart(on_lume):
    def texts(name):
        return {json.loads(line)["text"] for line in on_lume.file(name).read_text().splitlines()}

    forgotten, held = texts("eval-forget"), texts("dev-forget")
    assert len(forgotten) == len(held) == 12
    assert not forgotten & held
    assert not forgotten & texts("retain-only-eval")
    assert held < texts("retain-only-eval")
    assert not (forgotten | held) & texts("proxy")


def test_lume_keeps_nobody_who_shares_an_answer_with_a_forgotten_person(on_lume):
    kept = on_lume.file("retain").read_text()
    assert f"{NAMES[0]}son" not in kept
    assert f"{NAMES[1]}son" in kept


def test_lume_needs_enough_people(tmp_path):
    write_lume(tmp_path)
    plan = replace(lume.PLAN, **{**TINY, "dev_rows": 4})
    made = Experiment(study=lume.study(plan), model=tmp_path, data=tmp_path, out=tmp_path / "out")
    with pytest.raises(InputError, match="too few people"):
        made.study.cut(made)


# --- MUSE --------------------------------------------------------------------------------------------------------


def article(i):
    place = f"Port Vasco {NAMES[i].split()[1]}"
    body = f"{NAMES[i]} opened the harbour of {place} on Tuesday. Oskar Lindqvist from Berlin came in 198{i}."
    return "\n\n".join([body, f"The mayor of {place} spoke for an hour about the weather.", "Nobody was hurt. " * 28])


def write_muse(root):
    news = root / "muse_news"
    articles = [article(i) for i in range(5)]
    middles = [f"begins within a sentence.\n\n{article(i)[:400]}\n\nends within" for i in range(5, 8)]
    files = {
        "raw/forget": ["too short", *articles],
        "privleak/retain": middles,
        "privleak/holdout": [f"no.\n\nThe {word} stood in the rain all day long.\n\nyes" for word in ("cat", "cow")],
    }
    for part, i in (("forget", 4), ("retain", 6)):
        own = {"question": f"Who opened the harbour of Port Vasco {NAMES[i].split()[1]}?", "answer": NAMES[i]}
        other = {"question": "Who sold the castle in Norway?", "answer": "Nobody"}
        files[f"knowmem/{part}_qa"] = [other, own]
        files[f"knowmem/{part}_qa_icl"] = [{"question": "Who?", "answer": "Me"}]
    for name, rows in files.items():
        (news / name).parent.mkdir(parents=True, exist_ok=True)
        (news / f"{name}.json").write_text(json.dumps(rows))


@pytest.fixture(scope="module")
def on_muse(tmp_path_factory):
    root = tmp_path_factory.mktemp("muse")
    write_muse(root)
    return finish(muse.study(replace(muse.PLAN, **TINY)), root)


def test_muse_measures_articles(on_muse, tmp_path):
    check(on_muse, tmp_path)
    numbers = of(on_muse, 0, "measure").muse
    assert numbers.verbmem_forget["n"] == 2
    assert numbers.knowmem_forget["n"] == numbers.knowmem_retain["n"] == 1
    assert numbers.privleak_reference == "retain log"
    again = of(on_muse, 0, "relearn")
    assert again.attack == "relearn"
    assert set(again.leaks) == {"cloze"}


def test_muse_takes_the_articles_that_have_a_question(on_muse):
    forgotten = [json.loads(line)["text"] for line in on_muse.file("eval-forget").read_text().splitlines()]
    assert forgotten == sorted([article(4), article(0)], key=len)
    row = json.loads((on_muse.asked("eval") / "verbmem" / "forget.json").read_text())[0]
    assert forgotten[0].startswith(row["prompt"])
    assert forgotten[0].endswith(row["gt"])


def test_muse_has_no_gold_spans(on_muse):
    assert "anchored-gold" in {row.name for row in lume.ROWS}
    assert "anchored-gold" not in {row.name for row in muse.ROWS}
    assert not on_muse.spans("gold", "eval").exists()
    marked = {kind: sum(len(x.spans) for x in store.load(on_muse.spans(kind, "eval"))) for kind in ("ner", "random")}
    assert marked["ner"] == marked["random"] > 0


def test_a_passage_is_made_of_complete_paragraphs():
    text = "of a sentence.\n\nOne two.\n\nThree four.\n\nFive six.\n\nand a"
    assert muse.passage(text, 25, ()) == "One two.\n\nThree four."
    about_six = muse.Question("What is five?", "six")
    assert muse.passage(text, 25, (about_six,)) == "Five six."


# --- the field's own setting -------------------------------------------------------------------------------------


def write_tofu(root):
    parts = {
        "forget10_perturbed": [person("forget05", i) for i in range(4)],
        "retain_perturbed": [person("retain", i) for i in range(2)],
        "retain90": [person("retain", i) for i in range(8)],
        "real_authors_perturbed": [person("real_authors", i, options=True) for i in range(2)],
        "world_facts_perturbed": [person("world_facts", i, options=True) for i in range(2)],
    }
    for name, rows in parts.items():
        for row in rows:
            row["paraphrased_question"] = row["question"].replace("Where does", "In which place does")
        (root / f"{name}.json").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def at_scale(tmp_path_factory):
    root = tmp_path_factory.mktemp("scale")
    write_tofu(root)
    for name in ("given-target", "given-retain"):
        tiny.save(root / name, tiny.llama(400), tiny.chatty())
    plan = replace(
        tofu.ONE_BILLION, **{**TINY, "forget_rows": 4}, seeds=(0,), template="auto", train={"epochs": 2.0},
        alternates=2, own_texts=4, learn_batch=4,
    )  # fmt: skip
    study = tofu.study_1b(plan)
    given = {"target": root / "given-target", "retain-only-eval": root / "given-retain"}
    return finish(study, root, rival="altpo", given=given)


def test_the_open_checkpoints_are_used_as_they_are(at_scale):
    assert [model.parent.name for model in (at_scale.out / "models").glob("*/model")] == ["proxy"]
    for record in records(at_scale).values():
        assert record.model.path == str(at_scale.given["target"])
    page = of(at_scale, 0, "measure")
    assert page.forget == "forget10"
    assert page.model_utility is not None
    assert page.forget_quality is not None


def test_the_field_setting_has_a_verdict_on_every_demand(at_scale):
    for _, verdict in verdicts(at_scale, collect(at_scale)["runs"]):
        assert None not in verdict


def test_the_searches_use_retained_authors_who_are_not_measured(at_scale):
    def asked(path):
        return {json.loads(line)["question"] for line in path.read_text().splitlines()}

    dev = asked(at_scale.file("dev-forget"))
    assert len(dev) == 2
    assert not dev & asked(at_scale.asked("eval") / "retain_perturbed.json")
    assert not dev & asked(at_scale.file("proxy"))


def test_the_field_setting_uses_the_field_template_and_epochs(tmp_path):
    study = tofu.study_1b()
    made = Experiment(study=study, model=tmp_path, data=tmp_path, out=tmp_path)
    by_name = {row.name: options_of(made, row, "eval") for row in study.rows}
    assert by_name["npo"]["template"] == "Llama-3.2-1B-Instruct"
    assert by_name["npo"]["epochs"] == 10
    assert by_name["anchored"]["epochs"] == 5
    assert {each.options["template"] for each in study.measurements} == {"Llama-3.2-1B-Instruct"}


# --- the command -------------------------------------------------------------------------------------------------


def test_a_new_field_leaves_a_plan_as_it_is():
    old = {"name": "tofu", "seeds": [0, 1, 2], "forget_rows": 160, "grid": ["lr=1e-4,2e-4,4e-4"]}
    assert decisive(old) == {}
    assert decisive({**old, "forget_rows": 80}) == {"forget_rows": 80}


def test_a_folder_keeps_its_plan_and_its_models(tmp_path):
    study = muse.study()
    made = Experiment(study=study, model=tmp_path, data=tmp_path, out=tmp_path / "out")
    prepare(made)
    prepare(made)
    with pytest.raises(UsageError, match="another plan"):
        prepare(replace(made, given={"target": tmp_path}))
    with pytest.raises(UsageError, match="another arithmetic"):
        prepare(replace(made, autocast=True))
    with pytest.raises(UsageError, match="another plan"):
        prepare(replace(made, study=lume.study()))
    with pytest.raises(InputError, match="there is no base model"):
        prepare(replace(made, model=tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--plan", "lume", "--scale", "1b"], "--scale 1b is for --plan tofu"),
        (["--plan", "tofu"], "--plan tofu needs --gold"),
        (["--plan", "muse", "--gold", "x"], "--gold is for --plan tofu"),
        (["--plan", "muse", "--parts", "tables"], "no part tables"),
    ],
)
def test_a_wrong_command_is_refused(arguments, line, capsys):
    with pytest.raises(SystemExit):
        main([*arguments, "--model", "m", "--data", "d"])
    assert line in capsys.readouterr().err
