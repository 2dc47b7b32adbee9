"""Over a thousand damaged inputs: each is refused in one line that names it, or read rightly. Never a traceback."""

import json
import random

import pytest

from tif import sources
from tif.annotate.manual import ManualAnnotator
from tif.errors import TifError
from tif.sets import formats, store
from tif.spans import AnnotationSet, Example, Span

TEXTS = [
    "Mara Ilves is a \U0001f600 florist in Narva.",
    "Ilo\r\nworks — at 5, Lai.",
    "ne\u0301 [[x|UW]] \u05d0\u05d1",
    "plain",
]
VALUES = [None, True, -1, 0, 3, 10**30, 1.5, "", " ", "x", "\ud800", "\x00", [], [[]], {}, {"a": 1}, [None], "auto"]
FORMATS = list(formats.FORMATS)


def example(number):
    text = TEXTS[number % len(TEXTS)]
    return Example(f"people/{number}", "Who?" * (number % 2), text, (Span(0, 3, "UW", "ner:x", 0.5),))


SET = AnnotationSet(tuple(example(number) for number in range(6)))


def damaged_bytes(data, dice):
    """A valid file with one to three random injuries."""
    data = bytearray(data)
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(data) or 1)
        match dice.randrange(7):
            case 0:
                del data[at:]
            case 1:
                data[at : at + 1] = bytes([dice.randrange(256)])
            case 2:
                del data[at : at + dice.randint(1, 40)]
            case 3:
                data[at:at] = dice.choice(
                    [b"\xff\xfe", b"\xed\xa0\x80", b"\0", b"{", b"]", b'"', b"\\u", b"NaN", b"\n"]
                )
            case 4:
                data[at:at] = data[at : at + 60]
            case 5:
                data[:] = data[at:]
            case 6:
                data[at:at] = b"[" * dice.choice([1, 5000])
    return bytes(data)


def damaged_value(value, dice):
    """A JSON value with something odd in a random place."""
    if isinstance(value, dict) and value and dice.random() < 0.85:
        key = dice.choice(list(value))
        if dice.random() < 0.15:
            return {k: v for k, v in value.items() if k != key}
        return {**value, key: damaged_value(value[key], dice)}
    if isinstance(value, list) and value and dice.random() < 0.85:
        at = dice.randrange(len(value))
        return [damaged_value(v, dice) if i == at else v for i, v in enumerate(value)]
    return dice.choice(VALUES)


def content_of(format_):
    return "".join(line + "\n" for line in formats.write(SET, format_)).encode()


def damaged(format_, dice):
    data = content_of(format_)
    if format_ == "inline" or dice.random() < 0.5:
        return damaged_bytes(data, dice)
    if format_ == "label-studio":
        return json.dumps(damaged_value(json.loads(data), dice)).encode()
    rows = [json.loads(line) for line in data.decode().split("\n") if line]
    at = dice.randrange(len(rows))
    rows[at] = damaged_value(rows[at], dice)
    return "\n".join(map(json.dumps, rows)).encode()


def refused_or_right(work):
    """0 for a set that loads, 1 for what tif refuses. Anything else that is raised fails the test as it is."""
    try:
        assert len(work()) > 0
    except TifError as error:
        line = str(error)
        assert "\n" not in line
        assert 0 < len(line) < 1500
        return 1
    return 0


def in_one_line(result):
    """What the command line makes of it: an exit code, and one line of error."""
    assert "Traceback" not in result.err
    assert "this failure is unexpected" not in result.err, result.err
    errors = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert (result.code in (1, 2, 3)) == bool(errors), result.err
    assert len(errors) <= 1


@pytest.mark.parametrize("format_", FORMATS)
def test_damaged_files_to_import(format_, tmp_path, cli):
    file = tmp_path / ("in.json" if format_ == "label-studio" else "in.jsonl")
    outcomes = []
    for seed in range(80):
        file.write_bytes(damaged(format_, random.Random(f"{format_} {seed}")))
        base = SET if seed % 2 else None
        outcomes.append(refused_or_right(lambda: formats.resolve(formats.read(file, format_), base)))  # noqa: B023
        if seed % 20 == 0:
            into = tmp_path / f"{seed}.parquet"
            in_one_line(cli("spans", "import", file, "--into", into, "--format", format_))
    assert 0 < sum(outcomes) < 80, "the damage was never, or always, too slight to matter"


def test_damaged_jsonl_to_annotate_by_hand(tmp_path, cli):
    rows = [
        {"prompt": "Who?", "text": TEXTS[0], "quotes": ["Mara Ilves", {"text": "Narva", "occurrence": 0}]},
        {"text": TEXTS[1], "spans": [{"start": 0, "end": 3, "label": "UW"}]},
    ]
    good = "\n".join(map(json.dumps, rows)).encode()
    file = tmp_path / "in.jsonl"

    def work():
        source = sources.load(str(file))
        return list(ManualAnnotator(source).annotate(source.examples))

    outcomes = []
    for seed in range(400):
        dice = random.Random(seed)
        if seed % 2:
            file.write_bytes(damaged_bytes(good, dice))
        else:
            at = dice.randrange(2)
            file.write_text("\n".join(json.dumps(damaged_value(r, dice) if i == at else r) for i, r in enumerate(rows)))
        outcomes.append(refused_or_right(work))
        if seed % 50 == 0:
            in_one_line(cli("annotate", "--method", "manual", "--dataset", file, "--out", tmp_path / f"{seed}.parquet"))
    assert 10 < sum(outcomes) < 390


def test_damaged_sets(tmp_path, cli):
    store.save(SET, tmp_path / "good.parquet")
    good = (tmp_path / "good.parquet").read_bytes()
    file, outcomes = tmp_path / "set.parquet", []
    for seed in range(200):
        file.write_bytes(damaged_bytes(good, random.Random(seed)))
        outcomes.append(refused_or_right(lambda: store.load(file)))
        if seed % 50 == 0:
            in_one_line(cli("spans", "show", file))
    assert sum(outcomes) > 150


def test_damaged_parquet_as_a_dataset(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"question": ["Who?"] * 3, "answer": TEXTS[:3]}), tmp_path / "good.parquet")
    good = (tmp_path / "good.parquet").read_bytes()
    file, outcomes = tmp_path / "in.parquet", []
    for seed in range(200):
        file.write_bytes(damaged_bytes(good, random.Random(seed)))
        outcomes.append(refused_or_right(lambda: sources.load(str(file)).examples))
    assert sum(outcomes) > 100
