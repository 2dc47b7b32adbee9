"""Policies over saved sets: versions, provenance, and another policy without annotating anew."""

import json
from dataclasses import replace

import pytest

from tif import sources
from tif.annotate.run import run
from tif.cli import main
from tif.entities.policy_file import read_policy
from tif.errors import UsageError
from tif.sets import store
from tif.sets.entities import apply_policy
from tif.spans import Span

TEXTS = [f"Person{i} writes from p{i}@fernhill.example today." for i in range(4)]


class Typed:
    """Marks the first word as PERSON, the address as EMAIL."""

    name = "typed"

    def __init__(self, fail=()):
        self.fail, self.asked = set(fail), 0

    def describe(self):
        return {"name": self.name, "version": 1}

    def annotate(self, examples):
        for example in examples:
            self.asked += 1
            if example.id in self.fail:
                yield example.with_spans((), status="failed", error="would not")
                continue
            name, at = example.text.index(" "), example.text.index(" p") + 1
            yield example.with_spans(
                [Span(0, name, "PERSON", "typed", 0.6), Span(at, example.text.index(" today"), "EMAIL", "typed", 0.9)]
            )


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "mail.jsonl"
    file.write_text("\n".join(json.dumps({"id": f"m/{i}", "text": text}) for i, text in enumerate(TEXTS)))
    return sources.load(str(file))


@pytest.fixture
def policy(tmp_path):
    def write(content, name="policy.toml"):
        (tmp_path / name).write_text(content)
        return tmp_path / name

    return write


@pytest.fixture
def out(tmp_path):
    return tmp_path / "mail.parquet"


def labels(annotations):
    return [[span.label for span in example.spans] for example in annotations]


def test_annotate_applies_a_policy_and_names_it(source, policy, out):
    file = policy('[types]\nPERSON = "keep"')
    annotator = Typed()
    report = run(source, annotator, out, policy=read_policy(file))
    assert labels(report.set) == [["EMAIL"]] * 4
    assert report.policy.line == "4 EMAIL to unlearn · 4 PERSON kept"
    record = report.set.provenance.method["entities_policy"]
    assert (record["file"], record["sha256"]) == ("policy.toml", read_policy(file).sha256)
    assert labels(store.load(f"{out}@{record['of']}")) == [["PERSON", "EMAIL"]] * 4
    assert [v.message for v in store.versions(out)] == ["before the entities policy", "entities policy policy.toml"]
    # The same command again annotates nothing and makes no version.
    again = run(source, Typed(), out, policy=read_policy(file))
    assert (again.version, again.reused) == (report.version, 4)


def test_a_policy_that_changes_nothing_still_stands_in_the_provenance(source, policy, out):
    run(source, Typed(), out)
    before = store.load(out)
    saved, _ = apply_policy(out, policy('default = "unlearn"'))
    assert (saved.digest, saved.version.number) == (before.digest, 2)
    assert store.load(out).provenance.method["entities_policy"]["of"] == before.digest
    assert apply_policy(out, policy('default = "unlearn"'))[0].version.number == 2


def test_another_policy_brings_back_what_the_first_left_out(source, policy, out):
    run(source, Typed(), out, policy=read_policy(policy('default = "keep"')))
    assert labels(store.load(out)) == [[]] * 4
    apply_policy(out, policy('[types]\nEMAIL = "keep"', "second.toml"))
    assert labels(store.load(out)) == [["PERSON"]] * 4
    saved, applied = apply_policy(out, policy("[default]\nthreshold = 0.7", "third.toml"))
    assert labels(saved) == [["EMAIL"]] * 4
    assert applied.counts == {("below threshold", "PERSON"): 4, ("unlearn", "EMAIL"): 4}
    assert saved.provenance.method["entities_policy"]["file"] == "third.toml"
    assert saved.provenance.method["name"] == "typed"


def test_what_people_decided_and_added_since_stays(source, policy, out):
    run(source, Typed(), out, policy=read_policy(policy('[types]\nPERSON = "keep"')))
    head = store.load(out)
    first, second = head.examples[:2]
    added = Span(second.text.index("today"), second.text.index("today") + 5, "DATE", "second recogniser")
    edited = head.replaced(
        [replace(first, spans=(), status="corrected"), replace(second, spans=(*second.spans, added))]
    )
    store.save(edited, out, message="edits")
    saved, applied = apply_policy(out, policy('default = "unlearn"', "second.toml"))
    assert labels(saved) == [[], ["PERSON", "EMAIL", "DATE"], ["PERSON", "EMAIL"], ["PERSON", "EMAIL"]]
    assert applied.decided == 1
    assert "1 records stay as people left them" in applied.line


def test_failed_records_can_be_retried_under_the_policy_only(source, policy, out):
    rules = read_policy(policy('[types]\nPERSON = "keep"'))
    assert run(source, Typed(fail=["m/1"]), out, policy=rules).failed == 1
    with pytest.raises(UsageError, match="has an entities policy"):
        run(source, Typed(), out, retry_failed=True)
    again = Typed()
    report = run(source, again, out, retry_failed=True, policy=rules)
    assert (again.asked, labels(report.set)) == (1, [["EMAIL"]] * 4)
    assert (
        labels(store.load(f"{out}@{report.set.provenance.method['entities_policy']['of']}"))
        == [["PERSON", "EMAIL"]] * 4
    )


def test_annotating_without_the_policy_says_so(source, policy, out, capsys):
    run(source, Typed(), out, policy=read_policy(policy('default = "keep"')))
    run(source, Typed(), out)
    assert "had an entities policy, and the new version has none" in capsys.readouterr().err


def test_a_set_whose_first_version_is_gone(source, policy, out, capsys):
    run(source, Typed(), out, policy=read_policy(policy('[types]\nPERSON = "keep"')))
    first = next(file for file in store.version_files(out) if file.name.startswith("0001-"))
    first.unlink()
    apply_policy(out, policy('default = "unlearn"', "second.toml"))
    assert "The policy sees only the spans that policy.toml left in the set" in capsys.readouterr().err
    assert labels(store.load(out)) == [["EMAIL"]] * 4


def test_the_command(source, policy, out, capsys):
    run(source, Typed(), out)
    file = policy('[types]\nPERSON = "review"\nEMAIL = "keep"\n[types.DATE]\ndeny = ["today"]')
    assert main(["spans", "apply-policy", str(out), "--entities-policy", str(file), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["labels"] == {"DATE": {"added": 4}, "EMAIL": {"keep": 4}, "PERSON": {"review": 4}}
    assert (result["review"], result["version"]) == (4, 2)
    assert {example.status for example in store.load(out)} == {"review"}
    assert main(["spans", "check", str(out)]) == 0
    assert "warning: review: record 'm/0': to review: PERSON 'Person0'" in capsys.readouterr().out
    assert main(["spans", "apply-policy", f"{out}@1", "--entities-policy", str(file)]) == 1
    assert "Apply the policy to the head" in capsys.readouterr().err


def test_annotate_takes_the_file(tmp_path, policy, out, capsys):
    data = tmp_path / "marked.jsonl"
    data.write_text(json.dumps({"id": "a", "text": TEXTS[0], "spans": [{"start": 0, "end": 7, "label": "PERSON"}]}))
    bad = policy('[types]\nPERSN = "keep"', "bad.toml")
    command = ["annotate", "--method", "manual", "--dataset", str(data), "--out", str(out), "--entities-policy"]
    assert main([*command, str(bad)]) == 1
    assert "types.PERSN: 'PERSN' is not a type that tif knows (it looks like PERSON)" in capsys.readouterr().err
    assert not out.exists()
