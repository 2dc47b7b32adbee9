import json

import pytest

from tif.sets import store
from tif.spans import AnnotationSet, Dataset, Example, Provenance, Span

TEXT = "Her father was a florist in Gent, her uncle a florist too."


@pytest.fixture
def path(tmp_path):
    examples = (
        Example("p/0", "Who?", TEXT, (Span(17, 24, source="ner:x", score=0.5),)),
        Example("p/1", "Where?", "In Łódź 👩‍👩‍👧.", (Span(3, 7),)),
    )
    path = tmp_path / "a.parquet"
    store.save(AnnotationSet(examples, Provenance(Dataset(id="test"), {"name": "ner"})), path, message="first")
    return path


def rows_of(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def write_rows(file, rows):
    file.write_text("".join(json.dumps(r) + "\n" for r in rows))


def test_show_marks_spans_for_pipes(cli, path):
    result = cli("spans", "show", path)
    assert result.code == 0
    assert "a [[florist|UW]] in Gent" in result.out
    assert "2 of 2 shown" in result.err


def test_show_json_is_one_document(cli, path):
    shown = json.loads(cli("spans", "show", path, "--id", "p/1", "--json").out)
    assert [(r["id"], r["spans"][0]["text"]) for r in shown] == [("p/1", "Łódź")]


def test_hand_correction_round_trip_makes_version_2_and_shows_in_the_diff(cli, path, tmp_path):
    file = tmp_path / "fix.jsonl"
    assert cli("spans", "export", path, "--format", "tif", "--out", file).code == 0
    rows = rows_of(file)
    rows[0]["spans"].append({"start": 28, "end": 32})
    write_rows(file, rows)
    done = cli("spans", "import", file, "--into", path, "--author", "ada", "-m", "towns too", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["changed"] == ["p/0"]
    head = store.load(path)
    assert head.version.number == 2
    assert head.examples[0].status == "corrected"
    assert [(s.start, s.source, s.score) for s in head.examples[0].spans] == [(17, "ner:x", 0.5), (28, "ada", None)]
    assert head.provenance.method == {"name": "ner"}
    assert head.examples[1].status == "auto"
    log = json.loads(cli("spans", "log", path, "--json").out)
    assert [(v["version"], v["message"], v["author"]) for v in log] == [(1, "first", ""), (2, "towns too", "ada")]
    diff = json.loads(cli("spans", "diff", f"{path}@1", f"{path}@2", "--json").out)
    (record,) = diff["records"]
    assert record["added"] == [{"start": 28, "end": 32, "label": "UW", "text": "Gent"}]
    assert json.loads(cli("spans", "diff", path, "--json").out)["records"] == [record]


def test_importing_what_was_exported_changes_nothing(cli, path, tmp_path):
    file = tmp_path / "same.jsonl"
    cli("spans", "export", path, "--out", file)
    assert cli("spans", "import", file, "--into", path).code == 0
    assert [v.number for v in store.versions(path)] == [1]


def test_two_people_who_edit_one_record_get_a_conflict_not_a_loss(cli, path, tmp_path):
    mine, yours = tmp_path / "mine.jsonl", tmp_path / "yours.jsonl"
    for file, end in ((mine, 32), (yours, 33)):
        cli("spans", "export", path, "--out", file)
        rows = rows_of(file)
        rows[0]["spans"] = [{"start": 28 if end == 32 else 25, "end": end}]
        write_rows(file, rows)
    assert cli("spans", "import", mine, "--into", path).code == 0
    second = cli("spans", "import", yours, "--into", path)
    assert second.code == 3
    assert "1 records conflict" in second.err
    conflict = store.load(path).examples[0]
    assert conflict.status == "conflict"
    assert "in Gent," in conflict.error
    assert cli("spans", "import", yours, "--into", path, "--theirs").code == 0
    assert store.load(path).examples[0].quote(store.load(path).examples[0].spans[0]) == "in Gent,"


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda r: r.update(text=r["text"] + "!"), "was changed"),
        (lambda r: r.update(id="p/9", text="other", spans=[]), "no record"),
        (lambda r: r["spans"].append({"start": 5, "end": 500}), "beyond"),
        (lambda r: r["spans"].append({"start": 4, "end": 10, "text": "mother"}), "but the text is 'mother'"),
        (lambda r: r["spans"].append({"start": 18, "end": 22}), "overlaps"),
        (lambda r: r.update(status="maybe"), "unknown status"),
        (lambda r: r.update(base="0" * 12), "no version"),
    ],
)
def test_a_bad_edit_is_one_line_and_no_new_version(cli, path, tmp_path, edit, told):
    file = tmp_path / "fix.jsonl"
    cli("spans", "export", path, "--out", file)
    rows = rows_of(file)[:1]
    edit(rows[0])
    write_rows(file, rows)
    result = cli("spans", "import", file, "--into", path)
    assert result.code in (1, 2)
    assert told in result.err
    assert result.err.count("\n") == 1
    assert [v.number for v in store.versions(path)] == [1]


def test_check_lists_problems_and_fails_only_for_errors(cli, path):
    result = cli("spans", "check", path, "--json")
    assert result.code == 0
    assert [f["kind"] for f in json.loads(result.out)["findings"]] == ["unmarked-mention"]
    assert cli("spans", "check", path, "--strict").code == 1
    path.write_bytes(b"PAR1 no")
    assert cli("spans", "check", path).code == 1


def test_restore_and_merge(cli, path, tmp_path):
    copy = tmp_path / "b.parquet"
    copy.write_bytes(path.read_bytes())
    one = store.load(path)
    store.save(one.replaced([one.examples[1].with_spans([], status="rejected")]), path)
    theirs = store.load(copy)
    store.save(theirs.replaced([theirs.examples[0].with_spans([Span(4, 10)], status="corrected")]), copy)
    merged = cli("spans", "merge", copy, "--into", path, "--from-version", f"{path}@1")
    assert merged.code == 0, merged.err
    head = store.load(path)
    assert [e.status for e in head] == ["corrected", "rejected"]
    assert cli("spans", "restore", f"{path}@1").code == 0
    assert store.load(path).examples == one.examples


@pytest.mark.parametrize(
    ("side", "left", "code"), [("", "florist", 3), ("--ours", "florist", 0), ("--theirs", "a florist", 0)]
)
def test_what_two_people_changed_in_one_record_is_settled_or_left(cli, path, tmp_path, side, left, code):
    copy = tmp_path / "b.parquet"
    copy.write_bytes(path.read_bytes())
    for set_, spans in ((path, [Span(46, 53)]), (copy, [Span(44, 53)])):
        one = store.load(set_)
        store.save(one.replaced([one.examples[0].with_spans(spans, status="corrected")]), set_)
    merged = cli("spans", "merge", copy, "--into", path, "--from-version", f"{path}@1", *([side] if side else []))
    assert merged.code == code, merged.err
    assert merged.out.splitlines()[0] == "p/0  conflict"
    assert "'a florist'" in merged.out.splitlines()[2]
    record = store.load(path).examples[0]
    assert [record.quote(span) for span in record.spans] == [left]
    assert record.status == ("corrected" if side else "conflict")
    assert ("1 records conflict" in merged.err) == (not side)
    if not side:
        assert "a florist" in record.error, "the other side's spans are not lost"
        (queued, *_) = json.loads(cli("spans", "queue", path, "--json").out)
        assert queued["id"] == "p/0"


def test_a_diff_as_markdown_and_versions_by_digest(cli, path):
    one = store.load(path)
    two = store.save(one.replaced([one.examples[0].with_spans([Span(28, 32)], status="corrected")]), path)
    before, after = (f"{path}@{set_.version.digest[:10]}" for set_ in (one, two))
    shown = cli("spans", "diff", before, after, "--md")
    assert shown.code == 0, shown.err
    assert shown.out == cli("spans", "diff", f"{path}@1", f"{path}@2", "--md").out
    header, rule, *body = [line for line in shown.out.splitlines() if line.startswith("|")]
    assert set(rule) <= set("|-: ")
    assert header.count("|") == rule.count("|") == body[0].count("|")
    assert any("florist" in line for line in body)
    assert any("Gent" in line for line in body)
    assert "florist|UW" in cli("spans", "show", before).out
    assert cli("spans", "show", f"{path}@ffffffff").code == 1


@pytest.mark.parametrize("command", ["show", "check", "log", "export"])
def test_a_missing_set_is_one_line(cli, tmp_path, command):
    result = cli("spans", command, tmp_path / "none.parquet")
    assert result.code == 1
    assert "no such annotation set" in result.err + result.out
