"""The page's server: what it answers, and whom it refuses."""

import asyncio
import json
from dataclasses import replace
from importlib.resources import files

import pytest
from starlette.testclient import TestClient

from tests.tokens.tiny import byte_level
from tif.edit.desk import open_desk
from tif.edit.edits import Op
from tif.edit.masking import Masker
from tif.edit.server import make_app
from tif.sets import store
from tif.spans import AnnotationSet, Example, Span
from tif.tokens.encoding import Encoder

TOKEN = "open-sesame"
HOST = "127.0.0.1:8123"
ORIGIN = {"Origin": f"http://{HOST}"}
EDIT = {"id": "bees/1", "rev": 0, "op": {"op": "toggle", "first": 3, "last": 3}}


@pytest.fixture
def desk(tmp_path):
    path = tmp_path / "bees.parquet"
    one = Example("bees/1", "What does she do?", "Oda Lindqvist keeps bees.", (Span(0, 13, "UW", "ner:x", 0.9),))
    two = Example("../../etc/passwd", "", "<img src=x onerror=alert(1)> 👩‍🚀 stays.")
    store.save(AnnotationSet((one, two)), path)
    with open_desk(path, "mara") as desk:
        yield desk


@pytest.fixture
def stranger(desk):
    return TestClient(make_app(desk, TOKEN), base_url=f"http://{HOST}", follow_redirects=False)


@pytest.fixture
def client(stranger):
    stranger.get(f"/?token={TOKEN}")
    return stranger


def test_the_token_becomes_a_cookie_and_leaves_the_address(stranger):
    answer = stranger.get(f"/?token={TOKEN}&queue=all")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?queue=all")
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=strict" in answer.headers["set-cookie"]
    assert stranger.get("/?queue=all").status_code == 200


def test_the_page_and_its_parts_are_served_with_safety_headers(client):
    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}
    names = [path.name for path in (files("tif.edit") / "static").iterdir()]
    assert len(names) > 5
    for name, kind in {
        "/": "text/html",
        **{f"/static/{name}": kinds[name[name.index(".") :]] for name in names},
    }.items():
        answer = client.get(name)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)
        assert answer.headers["content-security-policy"].startswith("default-src 'self';")
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "http" not in client.get("/").text


def test_an_edit_is_answered_with_the_record_as_words(client, desk):
    record = client.get("/api/record", params={"id": "bees/1"}).json()
    assert record["pieces"] == ["", "Oda", " ", "Lindqvist", " ", "keeps", " ", "bees", "", "."]
    (span,) = record["spans"]
    look = span.pop("look")
    assert span == {"first": 0, "last": 1, "label": "UW", "source": "ner:x", "score": 0.9, "trained": True}
    assert look in range(6)
    after = client.post("/api/edit", json=EDIT, headers=ORIGIN).json()
    made = after["spans"][1]
    assert made.pop("look") != look, "another source, another look"
    assert made == {"first": 3, "last": 3, "label": "UW", "source": "mara", "score": None, "trained": True}
    assert (after["rev"], after["undo"], after["gone"]) == (1, 1, [])
    gone = {"id": "bees/1", "rev": 1, "op": {"op": "remove", "first": 0, "last": 0}}
    assert client.post("/api/edit", json=gone, headers=ORIGIN).json()["gone"] == ["Oda Lindqvist"]
    done = client.post("/api/finish", json={"message": "bees", "author": "ivo"}, headers=ORIGIN).json()
    assert (done["version"], done["conflicts"]) == (2, [])
    assert store.load(desk.path).version.author == "ivo"


def test_a_stale_edit_is_answered_with_both_versions_and_settled(client):
    client.post("/api/edit", json=EDIT, headers=ORIGIN)
    op = {"op": "remove", "first": 0, "last": 0}
    late = client.post("/api/edit", json={**EDIT, "op": op}, headers=ORIGIN)
    assert late.status_code == 409
    both = late.json()
    assert [len(both[name]["spans"]) for name in ("theirs", "mine", "merged")] == [2, 0, 1]
    settle = {"id": "bees/1", "rev": 1, "seen": 0, "op": op, "choice": "merge"}
    merged = client.post("/api/settle", json=settle, headers=ORIGIN).json()
    assert [span["first"] for span in merged["spans"]] == [3]
    assert client.post("/api/settle", json=settle, headers=ORIGIN).status_code == 409


def test_tokens_need_a_tokenizer_and_pieces(client, desk):
    asked = {"id": "bees/1", "first": 0, "last": 1}
    assert client.get("/api/start").json()["tokenizer"] is None
    assert "--tokenizer" in client.get("/api/tokens", params=asked).json()["error"]
    tokenizer = byte_level()
    app = make_app(desk, TOKEN, masker=Masker("tiny", Encoder.of(tokenizer)))
    other = TestClient(app, base_url=f"http://{HOST}", cookies={"tif": TOKEN})
    assert other.get("/api/start").json()["tokenizer"] == "tiny"
    told = other.get("/api/tokens", params=asked).json()
    assert "".join(t["text"] for t in told["tokens"] if t["kind"] == "uw") == "Oda Lindqvist"
    assert (told["rev"], told["trained"]) == (0, True)
    for wrong in ("-1", "x", "", "١", "9" * 20):
        assert other.get("/api/tokens", params={**asked, "first": wrong}).status_code == 422
    assert other.get("/api/tokens", params={**asked, "id": "none"}).status_code == 422
    assert TestClient(app, base_url=f"http://{HOST}").get("/api/tokens", params=asked).status_code == 403


def test_what_was_marked_before_is_told_by_piece(client):
    gone = {"id": "bees/1", "rev": 0, "op": {"op": "unmark", "first": 1, "last": 1}}
    after = client.post("/api/edit", json=gone, headers=ORIGIN).json()
    assert (after["gone"], after["struck"]) == (["Oda Lindqvist"], {"3": ["", "Lindqvist"]})


def test_queues(client):
    start = client.get("/api/start", params={"queue": "all"}).json()
    assert start["ids"] == ["bees/1", "../../etc/passwd"]
    assert (start["labels"], start["trained"]) == (["UW"], [True])
    client.post("/api/edit", json={"id": "bees/1", "rev": 0, "op": {"op": "accept"}}, headers=ORIGIN)
    assert client.get("/api/start").json()["ids"] == ["../../etc/passwd"]
    assert client.get("/api/start?queue=accepted").json()["progress"] == {
        "reviewed": 1, "total": 2, "unsaved": 1, "untrained": ""
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/", "/static/edit.js", "/api/start", "/api/record?id=bees/1"])
@pytest.mark.parametrize("token", ["", "?token=wrong"])
def test_nothing_is_told_without_the_token(stranger, path, token):
    joined = path + (token if "?" not in path else token.replace("?", "&"))
    assert stranger.get(joined).status_code == 403
    stranger.cookies.set("tif", "wrong")
    assert stranger.get(path).status_code == 403


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8123", "127.0.0.1.evil.example", "127.0.0.1@evil.example:80", "", "0.0.0.0:1"),
        *("127.0.0.1:", "127.0.0.1:x", "localhost:80@evil.example", "[::1]:evil.example", "localhost:123456", "::1:80"),
        *("127.0.0.1:80:80", "127.0.0.1:8 0", "localhost."),
    ],
)
def test_a_foreign_name_that_points_here_is_refused(client, host):
    """DNS rebinding: the browser believes it talks to evil.example, and sends that as Host and Origin."""
    headers = {"Host": host, "Origin": f"http://{host}"}
    assert client.get(f"/?token={TOKEN}", headers={"Host": host}).status_code == 400
    assert client.post("/api/edit", json=EDIT, headers=headers).status_code == 400


@pytest.mark.parametrize("host", ["localhost:9", "[::1]:9", "localhost"])
def test_a_tunnel_may_bring_another_port(client, host):
    headers = {"Host": host, "Origin": f"http://{host}", "Cookie": f"tif={TOKEN}"}
    assert client.post("/api/edit", json=EDIT, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "https://127.0.0.1:8123", "http://127.0.0.1:9", "http://localhost:8123", ""],
)
def test_another_page_can_neither_write_nor_read(client, desk, origin):
    assert client.post("/api/edit", json=EDIT, headers={"Origin": origin}).status_code == 403
    assert client.get("/api/start", headers={"Origin": origin}).status_code == 403
    assert desk.session.card("bees/1").rev == 0


def test_a_write_without_origin_or_from_another_site_is_refused(client, desk):
    assert client.post("/api/edit", json=EDIT).status_code == 403
    for site in ("cross-site", "same-site"):
        assert client.post("/api/edit", json=EDIT, headers={**ORIGIN, "Sec-Fetch-Site": site}).status_code == 403
    assert desk.session.card("bees/1").rev == 0


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_a_foreign_form_could_send_is_refused(client, kind):
    answer = client.post("/api/edit", content=json.dumps(EDIT), headers={**ORIGIN, "Content-Type": kind})
    assert answer.status_code == 415


def test_other_methods_and_too_much_are_refused(client, desk):
    assert client.put("/api/edit", json=EDIT, headers=ORIGIN).status_code == 405
    assert client.delete("/api/record?id=bees/1", headers=ORIGIN).status_code == 405
    big = {**EDIT, "id": "x" * (1 << 20)}
    assert client.post("/api/edit", json=big, headers=ORIGIN).status_code == 413
    for name, value in (("Transfer-Encoding", "chunked"), ("Content-Length", "٣"), ("Content-Length", "9" * 5000)):
        headers = {**ORIGIN, "Content-Type": "application/json", "Content-Length": "9", name: value.encode()}
        assert client.post("/api/edit", content=b'{"id": 1}', headers=headers).status_code == 413
    assert make_app_reads_at_most(desk) == 422


def make_app_reads_at_most(desk):
    """The status of a body of 8 MiB whose header names 9 bytes, as a server that trusts the header would pass it on."""
    sent, statuses = [], []

    async def receive():
        sent.append(1 << 16)
        return {"type": "http.request", "body": b" " * (1 << 16), "more_body": len(sent) < 128}

    async def send(message):
        statuses.append(message.get("status"))

    headers = {**ORIGIN, "Host": HOST, "Content-Type": "application/json", "Content-Length": "9"}
    scope = {
        "type": "http", "method": "POST", "path": "/api/edit", "query_string": f"token={TOKEN}".encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "scheme": "http", "server": ("127.0.0.1", 8123), "http_version": "1.1",
    }  # fmt: skip
    asyncio.run(make_app(desk, TOKEN)(scope, receive, send))
    assert sum(sent) <= (1 << 20) + (1 << 17)
    return statuses[0]


def test_half_a_surrogate_is_refused_wherever_it_is_sent(client, desk):
    for path, body in (
        ("/api/finish", {"message": "\ud800", "author": "mara"}),
        ("/api/finish", {"message": "", "author": "\udfff"}),
        ("/api/edit", {**EDIT, "id": "\ud83d"}),
        ("/api/edit", {**EDIT, "op": {"op": "label", "label": "\udc80"}}),
    ):
        raw = json.dumps(body)
        answer = client.post(path, content=raw, headers={**ORIGIN, "Content-Type": "application/json"})
        assert answer.status_code == 422
        assert "not JSON" in answer.json()["error"]
    assert store.head_version(desk.path).number == 1


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/..%2fserver.py",
        "/static/%2e%2e/%2e%2e/store.py",
        "/static//etc/passwd",
        "/static/index.html%00.js",
        "/static/..\\server.py",
        "/edit.jsonl",
        "/static/",
    ],
)
def test_no_path_leads_out_of_the_page(client, path):
    answer = client.get(path)
    assert answer.status_code in (404, 307)
    assert "import" not in answer.text


def test_an_id_is_never_a_path(client):
    assert client.get("/api/record", params={"id": "../../etc/passwd"}).json()["id"] == "../../etc/passwd"
    assert client.get("/api/record", params={"id": "../bees.parquet"}).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b'{"id": "bees/1"}',
        b'{"id": 1, "rev": 0, "op": {}}',
        b'{"id": "bees/1", "rev": true, "op": {"op": "accept"}}',
        b'{"id": "bees/1", "rev": 0, "op": {"op": "toggle", "first": 99, "last": 99}}',
        b'{"id": "bees/1", "rev": 7, "op": {"op": "toggle"}}',
        b'{"id": "none", "rev": 0, "op": {"op": "accept"}}',
        b'{"id": "bees/1", "rev": 0, "op": {"op": "accept"}, "more": 1}',
    ],
)
def test_a_request_that_makes_no_sense_is_told_in_one_line(client, body):
    answer = client.post("/api/edit", content=body, headers={**ORIGIN, "Content-Type": "application/json"})
    assert answer.status_code == 422
    assert "\n" not in answer.json()["error"]


def test_a_full_disk_is_told_and_nothing_is_done(client, desk, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    answer = client.post("/api/edit", json=EDIT, headers=ORIGIN)
    assert answer.status_code == 500
    assert "No space left" in answer.json()["error"]
    assert desk.session.card("bees/1").rev == 0


def opened(desk, **more):
    return TestClient(make_app(desk, TOKEN, **more), base_url=f"http://{HOST}", cookies={"tif": TOKEN})


def test_labels_keep_the_order_in_which_they_were_given(desk):
    one = desk.session.base.examples[0]
    spans = (Span(0, 3, "ART", "ner:x"), Span(4, 13, "UW", "ner:x"))
    store.save(desk.session.base.replaced([replace(one, spans=spans)]), desk.path)
    desk.finish()
    desk.do("bees/1", desk.session.card("bees/1").rev, Op("label", 0, 0, label="ZOO"))
    given = ("PLACE", "NAME", "DATE", "FOOD", "BIRD", "FISH", "TREE", "ROAD", "SHIP")
    start = opened(desk, labels=given).get("/api/start").json()
    assert start["labels"] == ["UW", *given, "ART", "ZOO"], "those that the set uses come last, by alphabet"
    assert opened(desk, trained=("NAME", "UW")).get("/api/start").json()["labels"] == ["UW", "NAME", "ART", "ZOO"]


def test_spans_that_training_leaves_out_are_marked_and_counted(desk):
    client = opened(desk, trained=("UW",))
    label = {"id": "bees/1", "rev": 0, "op": {"op": "label", "first": 3, "last": 3, "label": "NAME"}}
    after = client.post("/api/edit", json=label, headers=ORIGIN).json()
    assert [(s["label"], s["trained"]) for s in after["spans"]] == [("UW", True), ("NAME", False)]
    assert after["progress"]["untrained"] == "1 of 2 spans will not be trained: 1 NAME (not in --labels)"
    reject = {"id": "bees/1", "rev": 1, "op": {"op": "reject"}}
    after = client.post("/api/edit", json=reject, headers=ORIGIN).json()
    assert after["trained"] is False
    assert after["progress"]["untrained"].endswith(": 1 NAME (not in --labels), 1 in rejected records")
    undo = {"id": "bees/1", "rev": 2, "op": {"op": "undo"}}
    for rev in (2, 3):
        after = client.post("/api/edit", json={**undo, "rev": rev}, headers=ORIGIN).json()
    assert after["progress"]["untrained"] == ""
    assert client.get("/api/start").json()["trained"] == [True, False]


def test_a_conflict_is_answered_with_both_sides_as_words(desk):
    note = "theirs (corrected): 4-19 'Lindqvist keeps', 20-24 NAME 'bees'; set 3 (rejected): no spans"
    one = replace(desk.session.base.examples[0], status="conflict", error=note)
    store.save(desk.session.base.replaced([one]), desk.path)
    desk.finish()
    client = opened(desk)
    record = client.get("/api/record", params={"id": "bees/1"}).json()
    theirs, third = record["sides"]
    assert (theirs["name"], theirs["status"], third["name"], third["status"]) == (
        "theirs", "corrected", "set 3", "rejected",
    )  # fmt: skip
    words = ["".join(theirs["pieces"][2 * s["first"] + 1 : 2 * s["last"] + 2]) for s in theirs["spans"]]
    assert words == ["Lindqvist keeps", "bees"]
    take = {"id": "bees/1", "rev": record["rev"], "op": {"op": "theirs", "other": 0}}
    after = client.post("/api/edit", json=take, headers=ORIGIN).json()
    assert (after["status"], after["error"], after["sides"]) == ("corrected", None, [])
    assert [s["label"] for s in after["spans"]] == ["UW", "NAME"]
    saved, _ = desk.finish()
    assert [(s.start, s.end, s.source) for s in saved.examples[0].spans] == [(4, 19, "mara"), (20, 24, "mara")]


def test_an_answer_about_thousands_of_spans_takes_time_in_proportion(tmp_path, monkeypatch):
    """Counted in keys that are built: one set of keys for each span was the time of minutes."""
    path = tmp_path / "many.parquet"
    text = "Oda keeps bees. " * 3000
    store.save(AnnotationSet((Example("many", "", text, tuple(Span(16 * i, 16 * i + 3) for i in range(3000))),)), path)
    keys, built = Span.key.fget, 0

    def counted(span):
        nonlocal built
        built += 1
        return keys(span)

    monkeypatch.setattr(Span, "key", property(counted))
    with open_desk(path, "mara") as many:
        edit = {"id": "many", "rev": 0, "op": {"op": "mentions", "first": 2, "last": 2}}
        answer = opened(many).post("/api/edit", json=edit, headers=ORIGIN).json()
    assert len(answer["spans"]) == 6000
    assert built < 40 * 6000
