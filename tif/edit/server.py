"""The page's server: one static page and a small JSON interface, on this machine alone.

    GET  /                      the page
    GET  /static/NAME           its script and style
    GET  /api/start?queue=todo  who, what, labels, and the queue's ids
    GET  /api/record?id=...     one record
    GET  /api/tokens?id=...&first=0&last=99  its tokens under the chosen tokenizer, and their masks
    POST /api/edit              {"id", "rev", "op": {...}} -> the record; 409 with both versions on a stale rev
    POST /api/settle            {"id", "rev", "seen", "op", "choice"} -> the record
    POST /api/finish            {"message", "author"} -> the saved version

Handlers that edit are async and never await inside, so edits run one after another without a lock. Tokens of a long
text take long, so a thread computes them from an immutable record.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tif.edit.desk import Desk, StaleRevError, merged
from tif.edit.edits import Op
from tif.edit.guard import LONGEST_BODY, Guard
from tif.edit.session import Card
from tif.edit.view import View
from tif.errors import InputError, MaskError, TifError, WriteError, kind_of

if TYPE_CHECKING:
    from tif.edit.masking import Masker

_TYPES = {
    "index.html": "text/html",
    "edit.css": "text/css",
    "icon.svg": "image/svg+xml",
    **dict.fromkeys(
        ("edit.js", "keys.js", "mouse.js", "moves.js", "page.js", "show.js", "talk.js", "text.js", "tokens.js"),
        "text/javascript",
    ),
}
"""All files served from the package, by exact name: no path is built from a request."""


def make_app(
    desk: Desk,
    token: str,
    *,
    cookie: str = "tif",
    labels: tuple[str, ...] = (),
    trained: tuple[str, ...] | None = None,
    masker: Masker | None = None,
) -> Starlette:
    """Return the ASGI application that corrects one set.

    Args:
        desk: the set under correction.
        token: the secret that a browser must send.
        cookie: name of the cookie that remembers the token.
        labels: labels to offer in addition to those of the set.
        trained: labels that training will forget; None for every label.
        masker: computes the masked tokens; None hides them.
    """
    static = files("tif.edit") / "static"
    view = View(desk=desk, labels=labels, trained=trained, tokenizer=masker.name if masker else None)
    tokenizing = asyncio.Lock()

    def asset(name: str) -> Response:
        if name not in _TYPES:
            return JSONResponse({"error": "no such page"}, 404)
        return Response((static / name).read_bytes(), media_type=_TYPES[name])

    async def index(_: Request) -> Response:
        return asset("index.html")

    async def other(request: Request) -> Response:
        return asset(request.path_params["name"])

    async def start(request: Request) -> Response:
        return JSONResponse(view.start(request.query_params.get("queue", "todo")))

    async def record(request: Request) -> Response:
        return JSONResponse(view.record(desk.session.card(request.query_params.get("id", ""))))

    async def tokens(request: Request) -> Response:
        if masker is None:
            raise InputError("no tokenizer is chosen", hint="`tif spans edit SET --tokenizer MODEL`")
        card = desk.session.card(request.query_params.get("id", ""))
        first, last = (_index(request.query_params.get(name, "")) for name in ("first", "last"))
        # Tokenizers are not thread-safe.
        async with tokenizing:
            shown = await run_in_threadpool(masker.shown, card.example, first, last)
        return JSONResponse({"rev": card.rev, **shown.to_json()})

    async def edit(request: Request) -> Response:
        body = await _body(request, {"id": str, "rev": int, "op": dict})
        op = Op.parse(body["op"])
        return _answer(view, body["rev"], lambda: desk.do(body["id"], body["rev"], op))

    async def settle(request: Request) -> Response:
        body = await _body(request, {"id": str, "rev": int, "seen": int, "op": dict, "choice": str})
        op = Op.parse(body["op"])
        settled = (body["id"], body["rev"], body["seen"], op, body["choice"])
        return _answer(view, body["seen"], lambda: desk.settle(*settled))

    async def finish(request: Request) -> Response:
        body = await _body(request, {"message": str, "author": str})
        saved, conflicts = desk.finish(body["message"].strip(), body["author"].strip())
        return JSONResponse(
            {
                "version": saved.version.number,
                "digest": saved.version.digest,
                "conflicts": list(conflicts),
                "aside": str(desk.aside) if desk.aside else None,
                "progress": view.progress(),
            }
        )

    return Starlette(
        routes=[
            Route("/", index),
            Route("/static/{name}", other),
            Route("/api/start", start),
            Route("/api/record", record),
            Route("/api/tokens", tokens),
            Route("/api/edit", edit, methods=["POST"]),
            Route("/api/settle", settle, methods=["POST"]),
            Route("/api/finish", finish, methods=["POST"]),
        ],
        middleware=[Middleware(Guard, token=token, cookie=cookie)],
        exception_handlers={TifError: _error_response},
    )


def _answer(view: View, seen: int, act: Callable[[], Card]) -> Response:
    try:
        return JSONResponse(view.record(act()))
    except StaleRevError as stale:
        card, mine = stale.card, stale.mine
        both: dict[str, object] = {"error": str(stale), "theirs": view.record(card), "mine": None, "merged": None}
        if mine is not None:
            both["mine"] = view.content(mine)
            both["merged"] = view.content(merged(card.states[seen], card.example, mine))
        return JSONResponse(both, 409)


async def _error_response(_: Request, error: Exception) -> Response:
    bad_request = isinstance(error, (InputError, MaskError)) and not isinstance(error, WriteError)
    return JSONResponse({"error": str(error)}, 422 if bad_request else 500)


def _index(value: str) -> int:
    if not (value.isascii() and value.isdecimal() and len(value) < 10):
        raise InputError("first and last must be piece indices")
    return int(value)


async def _body(request: Request, fields: dict[str, type]) -> dict[str, Any]:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > LONGEST_BODY:
            raise InputError("the body is too long")
    try:
        body = json.loads(data)
        # Half of a surrogate pair is no text: nothing could be written with it.
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise InputError("the body is not JSON", why=str(error)) from None
    if not isinstance(body, dict) or body.keys() != fields.keys():
        raise InputError(f"the body must be an object with {', '.join(fields)}")
    for name, kind in fields.items():
        if type(body[name]) is not kind:
            raise InputError(f"is {kind_of(body[name])}, not {kind_of(kind())}", where=f"body, {name}")
    return body


__all__ = ["make_app"]
