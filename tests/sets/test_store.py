import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from tests.strategies import sets
from tif import files
from tif.errors import StaleHeadError, StoreError, UsageError, WriteError
from tif.sets import metadata, store
from tif.sets import rows as rows_
from tif.sets.restore import restore
from tif.spans import AnnotationSet, Dataset, Example, Provenance, Span


def people(n=3, mark="x"):
    return AnnotationSet(
        tuple(Example(f"p/{i}", f"Who is {i}?", f"{mark} lives in Łódź 👍 {i}", (Span(11, 15),)) for i in range(n)),
        Provenance(Dataset(id="test"), {"name": "manual"}),
    )


def edit(annotations, status):
    first = replace(annotations.examples[0], status=status)
    return annotations.replaced([first])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sets(labels=("UW", "UW:DATE")))
def test_save_and_load_return_the_same_set(tmp_path, annotations):
    path = tmp_path / f"{annotations.digest[:20]}.parquet"
    saved = store.save(annotations, path, base=store.head_version(path) and annotations.digest)
    loaded = store.load(path)
    assert loaded.examples == annotations.examples
    assert loaded.version == saved.version
    assert loaded.version.digest == annotations.digest


def test_same_content_makes_no_new_version(tmp_path):
    path = tmp_path / "a.parquet"
    first = store.save(people(), path)
    again = store.save(store.load(path), path)
    assert again.version == first.version
    assert [v.number for v in store.versions(path)] == [1]


def test_versions_are_named_by_number_and_by_digest(tmp_path):
    path = tmp_path / "a.parquet"
    one = store.save(people(), path, message="first", author="ada")
    two = store.save(edit(one, "accepted"), path, message="second", author="bo")
    assert [(v.number, v.message, v.author) for v in store.versions(path)] == [(1, "first", "ada"), (2, "second", "bo")]
    assert two.version.parent == one.version.digest
    assert [v.number for v in store.versions(f"{path}@1")] == [1]
    assert store.load(f"{path}@1").examples == one.examples
    assert store.load(f"{path}@{one.version.digest[:9]}").examples == one.examples
    assert store.load(path).examples == two.examples
    with pytest.raises(StoreError, match="no version 7"):
        store.load(f"{path}@7")


def test_a_lost_update_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    base = store.save(people(), path)
    store.save(edit(base, "accepted"), path)
    with pytest.raises(StaleHeadError, match="changed since"):
        store.save(edit(base, "rejected"), path)
    with pytest.raises(StaleHeadError, match="exists already"):
        store.save(people(mark="y"), path)
    assert len(store.versions(path)) == 2


def test_restore_makes_a_new_version_of_old_content(tmp_path):
    path = tmp_path / "a.parquet"
    one = store.save(people(), path)
    store.save(edit(one, "accepted"), path)
    back = restore(f"{path}@1")
    assert back.version.number == 3
    assert store.load(path).examples == one.examples
    assert [v.number for v in store.versions(path)] == [1, 2, 3]


def test_a_head_copied_alone_still_loads_and_knows_its_parent(tmp_path):
    path = tmp_path / "a.parquet"
    one = store.save(people(), path)
    store.save(edit(one, "accepted"), path)
    alone = tmp_path / "elsewhere" / "b.parquet"
    alone.parent.mkdir()
    alone.write_bytes(path.read_bytes())
    loaded = store.load(alone)
    assert loaded.version.parent == one.version.digest
    assert [v.number for v in store.versions(alone)] == [2]
    third = store.save(edit(loaded, "rejected"), alone)
    assert third.version.number == 3
    assert store.load(f"{alone}@3").examples == third.examples


def test_metadata_that_pandas_drops_comes_back_from_the_sidecar(tmp_path, capfd):
    path = tmp_path / "a.parquet"
    saved = store.save(people(), path)
    table = pq.read_table(path)
    pq.write_table(pa.Table.from_pylist(table.to_pylist()), path)
    assert (pq.read_schema(path).metadata or {}).get(metadata.KEY) is None
    loaded = store.load(path)
    assert loaded.version == saved.version
    assert "dropped its metadata" in capfd.readouterr().err


def test_a_real_pandas_round_trip_is_recovered_too(tmp_path):
    pd = pytest.importorskip("pandas")
    path = tmp_path / "a.parquet"
    saved = store.save(people(), path)
    pd.read_parquet(path).to_parquet(path)
    assert store.load(path).examples == saved.examples


def test_a_real_round_trip_through_datasets_is_recovered_or_refused(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    datasets = pytest.importorskip("datasets")
    path = tmp_path / "a.parquet"
    saved = store.save(people(), path)
    theirs = datasets.Dataset.from_parquet(str(path), cache_dir=str(tmp_path / "cache"))
    theirs.to_parquet(str(path))
    assert metadata.KEY not in pq.read_schema(path).metadata
    assert store.load(path) == saved
    assert "dropped its metadata" in capfd.readouterr().err
    theirs.map(lambda row: {**row, "spans": []}).to_parquet(str(path))
    with pytest.raises(StoreError, match=r"sidecar describes other content .*tif spans restore"):
        store.load(path)
    metadata.sidecar(path).unlink()
    with pytest.raises(StoreError, match="has no tif metadata and no sidecar"):
        store.load(path)


def test_what_pandas_edited_is_kept_aside_and_can_be_imported(tmp_path, cli):
    pd = pytest.importorskip("pandas")
    path = tmp_path / "a.parquet"
    store.save(people(), path)
    frame = pd.read_parquet(path)
    frame.at[1, "spans"] = []
    frame.to_parquet(path)
    refused = cli("spans", "show", path)
    assert refused.code == 1
    assert f"tif spans restore {path}@1" in refused.err
    assert cli("spans", "restore", f"{path}@1").code == 0
    (aside,) = tmp_path.glob("a.damaged-*.parquet")
    assert cli("spans", "import", aside, "--into", path, "--author", "ada").code == 0
    assert [(len(e.spans), e.status) for e in store.load(path)] == [(1, "auto"), (0, "corrected"), (1, "auto")]


def test_edits_by_another_tool_are_noticed_and_never_buried(tmp_path):
    path = tmp_path / "a.parquet"
    saved = store.save(people(), path)
    rows = pq.read_table(path).to_pylist()
    rows[0]["spans"] = []
    metadata = pq.read_schema(path).metadata
    pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(path)).replace_schema_metadata(metadata), path)
    with pytest.raises(StoreError, match="does not match its digest"):
        store.load(path)
    with pytest.raises(StoreError, match="does not match its digest"):
        store.save(edit(saved, "accepted"), path)
    restore(f"{path}@1")
    assert store.load(path).examples == saved.examples
    assert list(tmp_path.glob("a.damaged-*"))


def test_a_changed_text_names_the_record(tmp_path):
    path = tmp_path / "a.parquet"
    store.save(people(), path)
    rows = pq.read_table(path).to_pylist()
    rows[1]["text"] = rows[1]["text"].replace("x", "y")
    pq.write_table(pa.Table.from_pylist(rows, schema=rows_.SCHEMA), path)
    with pytest.raises(StoreError, match=r"record 'p/1'.*hash"):
        store.load(path)


@pytest.mark.parametrize("name", ["a.json", "a", ".parquet"])
def test_save_refuses_a_name_that_is_no_parquet(tmp_path, name):
    with pytest.raises(UsageError, match=r"\.parquet"):
        store.save(people(), tmp_path / name)


def test_file_metadata_says_where_it_is_from(tmp_path):
    path = tmp_path / "a.parquet"
    store.save(people(), path, message="hello")
    meta = json.loads(pq.read_schema(path).metadata[b"tif"])
    assert meta == json.loads(metadata.sidecar(path).read_text())
    assert meta["offset_unit"] == "codepoint"
    assert meta["counts"] == {"examples": 3, "spans": 3, "without_spans": 0, "auto": 3}
    assert meta["dataset"] == {"id": "test", "split": "", "fingerprint": "", "examples": 0}
    assert meta["method"] == {"name": "manual"}


def test_putting_an_old_head_back_deletes_no_version(tmp_path):
    path = tmp_path / "a.parquet"
    first = store.save(AnnotationSet((Example("n", "0", "text"),)), path)
    copy = path.read_bytes()
    second = store.save(first.replaced([replace(first.examples[0], prompt="1")]), path)
    path.write_bytes(copy)
    third = store.save(first.replaced([replace(first.examples[0], prompt="2")]), path)
    assert (second.version.number, third.version.number) == (2, 3)
    assert store.load(f"{path}@2").examples[0].prompt == "1"
    assert store.load(f"{path}@{second.version.digest}").digest == second.digest
    path.write_bytes(copy)
    again = store.save(first.replaced([replace(first.examples[0], prompt="1")]), path)
    assert again.version.number == 2, "what a killed save left is the same version when it is saved again"
    assert [v.number for v in store.versions(path)] == [1, 2, 3]


@pytest.mark.slow
def test_200_random_kills_leave_a_whole_head_and_every_reported_save(tmp_path):
    """Kill -9 at random moments: what was reported as saved is in the history, and the head loads."""
    path = tmp_path / "a.parquet"
    rest = tuple(Example(f"p/{i}", "q", "text " * 50) for i in range(200))
    began = time.monotonic()
    store.save(AnnotationSet((Example("n", "0", "text"), *rest)), path)
    # On a busy machine a save takes longer: some children must live to report one.
    longest = max(0.06, 3 * (time.monotonic() - began))
    context = multiprocessing.get_context("fork")
    reported, kills = 0, 0
    for _ in range(200):
        receive, send = context.Pipe(duplex=False)
        child = context.Process(target=_save_until_killed, args=(str(path), send))
        child.start()
        send.close()
        time.sleep(random.random() * longest)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        kills += child.exitcode == -signal.SIGKILL
        while receive.poll():
            try:
                reported = max(reported, receive.recv())
            except EOFError:
                break
        head = store.load(path)
        assert int(head.examples[0].prompt) >= reported
    history = [v.message for v in store.versions(path)][1:]
    assert history == [str(n) for n in range(1, len(history) + 1)]
    assert len(history) >= reported > 0
    assert kills == 200


def _save_until_killed(path, send):
    while True:
        now = store.load(path)
        n = int(now.examples[0].prompt) + 1
        store.save(now.replaced([replace(now.examples[0], prompt=str(n))]), path, message=str(n))
        send.send(n)


def test_two_processes_never_lose_an_update(tmp_path):
    path = tmp_path / "a.parquet"
    store.save(AnnotationSet((Example("n", "0", "text"),)), path)
    # The process id keeps the two from ever saving the same content, which would rightly be one version.
    code = (
        "import os, sys\nfrom dataclasses import replace\nfrom tif.sets import store\n"
        "from tif.errors import StaleHeadError\n"
        "done = 0\nwhile done < 15:\n    now = store.load(sys.argv[1])\n"
        "    n = int(now.examples[0].prompt.split()[0]) + 1\n"
        "    new = replace(now.examples[0], prompt=f'{n} {os.getpid()}')\n"
        "    try:\n        store.save(now.replaced([new]), sys.argv[1])\n        done += 1\n"
        "    except StaleHeadError:\n        continue\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(2)]
    assert [p.wait(timeout=120) for p in both] == [0, 0]
    assert store.load(path).examples[0].prompt.split()[0] == "30"
    assert [v.number for v in store.versions(path)] == list(range(1, 32))


def test_a_set_that_is_a_link_is_saved_in_its_place(tmp_path):
    shared, mine = tmp_path / "team" / "people.parquet", tmp_path / "a.parquet"
    shared.parent.mkdir()
    one = store.save(people(), mine)
    mine.rename(shared)
    mine.symlink_to("team/people.parquet")
    (shared.parent / ".people.parquet.999999.tmp").touch()  # a killed writer's
    two = store.save(edit(one, "accepted"), mine)
    assert mine.is_symlink()
    assert store.load(mine).examples == store.load(shared).examples == two.examples
    assert [version.number for version in store.versions(mine)] == [1, 2]
    assert [path.name for path in shared.parent.iterdir()] == ["people.parquet"]


def full_disk_for(monkeypatch, name):
    """Let writes of files with this name fail as on a full disk."""
    write = files.write

    def failing(path, data):
        if Path(path).name == name:
            raise WriteError("cannot be written", where=str(path), why="No space left on device")
        write(path, data)

    monkeypatch.setattr(files, "write", failing)


def test_a_sidecar_that_a_full_disk_left_behind_is_written_by_the_next_command(tmp_path, cli, monkeypatch, capfd):
    path = tmp_path / "a.parquet"
    one = store.save(people(), path)
    sidecar = metadata.sidecar(path)
    old = sidecar.read_bytes()
    with monkeypatch.context() as patched:
        full_disk_for(patched, sidecar.name)
        two = store.save(edit(one, "accepted"), path)
        assert "a.parquet is saved as version 2, but a.parquet.meta.json cannot be written" in told(capfd)
    assert (store.head_version(path), sidecar.read_bytes()) == (two.version, old)
    checked = cli("spans", "check", path)
    assert checked.code == 0
    assert f"warning: stale-sidecar: {sidecar}" in checked.out
    assert metadata.parse(sidecar.read_bytes(), sidecar)[0] == two.version
    assert "stale-sidecar" not in cli("spans", "check", path).out
    for renew in (lambda: store.load(path), lambda: store.save(store.load(f"{path}@2"), path)):
        sidecar.write_bytes(old)
        renew()
        assert "was written again" in told(capfd)
        assert metadata.parse(sidecar.read_bytes(), sidecar)[0] == two.version
    store.load(path)
    assert told(capfd) == ""


def told(capsys):
    return " ".join(capsys.readouterr().err.split())


def test_a_stale_sidecar_does_not_lose_a_set_that_pandas_wrote(tmp_path, capsys):
    pd = pytest.importorskip("pandas")
    path = tmp_path / "a.parquet"
    one = store.save(people(), path)
    stale = metadata.sidecar(path).read_bytes()
    two = store.save(edit(one, "accepted"), path)
    for content in (stale, b"{", None):
        metadata.sidecar(path).unlink(missing_ok=True)
        if content is not None:
            metadata.sidecar(path).write_bytes(content)
        pd.read_parquet(f"{path}").to_parquet(path)
        assert pq.read_schema(path).metadata.get(metadata.KEY) is None
        loaded = store.load(path)
        assert (loaded.version, loaded.examples) == (two.version, two.examples)
        assert "used 0002-" in told(capsys)
    three = store.save(edit(two, "rejected"), path)
    assert (three.version.number, three.version.parent) == (3, two.version.digest)
    assert metadata.parse(metadata.sidecar(path).read_bytes(), path)[0] == three.version


def test_heads_put_aside_in_one_second_are_all_kept(tmp_path):
    path = tmp_path / "a.parquet"
    store.save(people(), path)
    for content in (b"one", b"two", b"three"):
        path.write_bytes(content)
        restore(f"{path}@1")
    assert {aside.read_bytes() for aside in tmp_path.glob("a.damaged-*.parquet")} == {b"one", b"two", b"three"}


def test_a_damaged_version_is_told_and_the_others_are_listed(tmp_path, cli):
    path = tmp_path / "a.parquet"
    one = store.save(people(), path)
    two = store.save(edit(one, "accepted"), path)
    store.save(edit(two, "rejected"), path)
    for number in (0, 1, 2):
        file = store.version_files(path)[number]
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        listed = cli("spans", "log", path)
        assert listed.code == 1
        assert [line.split()[0] for line in listed.out.splitlines()] == [
            n for n in "123" if n != str(number + 1) or n == "3"
        ]
        assert f"warning: {file}: cannot be read as parquet" in listed.err
        assert "1 file is damaged" in listed.err
        assert cli("spans", "check", path).code == 1
        for digest in (one.version.digest, two.version.digest):
            if not file.name.endswith(f"{digest[:12]}.parquet"):
                assert store.load(f"{path}@{digest[:9]}").digest == digest
                assert store.load(f"{path}@{digest}").digest == digest
        file.write_bytes(whole)
    assert cli("spans", "log", path).code == 0
    path.write_bytes(b"PAR1")
    listed = cli("spans", "log", path)
    assert (listed.code, len(listed.out.splitlines())) == (1, 3)
    assert f"tif spans restore {path}@3" in listed.err


def test_a_damaged_version_file_keeps_nobody_from_saving(tmp_path, capsys):
    path = tmp_path / "a.parquet"
    one = store.save(people(), path)
    two = store.save(edit(one, "accepted"), path)
    first, second = store.version_files(path)
    whole = second.read_bytes()
    first.write_bytes(b"")
    second.write_bytes(whole[:100])
    three = store.save(edit(two, "rejected"), path)
    assert three.version.number == 3
    assert second.read_bytes() == whole
    assert f"{second} was damaged (cannot be read as parquet), and was written again" in told(capsys)
