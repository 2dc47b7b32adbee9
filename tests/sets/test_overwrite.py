"""Exports replace only what tif exported and nobody edited."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tif.sets import formats, store
from tif.spans import AnnotationSet, Dataset, Example, Provenance, Span

TEXT = "Oda Lind tunes organs in Tartu."


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "organs.parquet"
    made = AnnotationSet((Example("a", "Who?", TEXT, (Span(25, 30),)),), Provenance(Dataset(id="x"), {"name": "ner"}))
    one = store.save(made, path)
    store.save(one.replaced([replace(one.examples[0], spans=(Span(0, 8),), status="corrected")]), path)
    return path


def refused(done, out):
    return done.code == 2 and f"{out} exists, and is not an unedited export of" in " ".join(done.err.split())


@pytest.mark.parametrize("format_", formats.FORMATS)
def test_an_export_replaces_its_own_and_no_other(path, cli, tmp_path, format_):
    out = tmp_path / ("folder" if format_ == "tpo" else "out.txt")

    def export(version="", *options):
        return cli("spans", "export", f"{path}{version}", "--format", format_, "--out", out, *options)

    def content():
        files = sorted(out.iterdir()) if out.is_dir() else [out]
        return [file.read_bytes() for file in files]

    for version in ("@1", "", "@1", "@2", ""):
        assert export(version).code == 0
    newest = content()
    assert export("@1").code == 0
    edited = out / "state.json" if out.is_dir() else out
    edited.write_bytes(edited.read_bytes() + b"\n")
    mine = content()
    for version in ("@1", ""):
        assert refused(export(version), out)
        assert content() == mine
    assert export("", "--force").code == 0
    assert content() == newest


def test_the_spans_alone_replace_their_own_and_no_other_set(path, cli, tmp_path):
    def strip(version, out, *options):
        return cli("spans", "export", f"{path}{version}", "--spans-only", "--out", out, *options)

    out = tmp_path / "bare.parquet"
    # The texts are in no data set here, so these files are compared without being joined.
    for version in ("@1", "", "@1"):
        assert strip(version, out).code == 0
    rows = pq.read_table(out)
    pq.write_table(rows.set_column(rows.schema.get_field_index("status"), "status", [pa.array(["rejected"])]), out)
    mine = out.read_bytes()
    assert refused(strip("", out), out)
    assert out.read_bytes() == mine
    assert strip("", out, "--force").code == 0

    other = tmp_path / "other.parquet"
    saved = store.save(AnnotationSet((Example("b", "", TEXT),)), other)
    head = other.read_bytes()
    assert refused(strip("", other), other)
    assert other.read_bytes() == head
    assert store.load(other).examples == saved.examples


def test_other_files_and_folders_are_refused(path, cli, tmp_path):
    notes, folder = tmp_path / "notes.jsonl", tmp_path / "folder"
    notes.write_text("mine\n")
    folder.mkdir()
    assert cli("spans", "export", path, "--format", "tpo", "--out", folder).code == 0
    assert refused(cli("spans", "export", path, "--out", notes), notes)
    assert notes.read_text() == "mine\n"
    (folder / "notes.txt").write_text("mine")
    assert refused(cli("spans", "export", path, "--format", "tpo", "--out", folder), folder)
    assert (folder / "notes.txt").read_text() == "mine"
    damaged = store.version_files(path)[0]
    damaged.write_bytes(b"")
    assert refused(cli("spans", "export", path, "--out", notes), notes)
