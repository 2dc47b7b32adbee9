"""Who may talk to the server: a browser on this machine, on our own page, that was given the token.

A page of somebody else's, open in the same browser, can send requests to 127.0.0.1 and can point its own name there
(DNS rebinding). Against that stand the names in `Host`, the `Origin` of what writes, JSON as the only content type
(which a foreign page cannot send without asking first), and a token that only the command's output tells.
"""

from __future__ import annotations

import secrets
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
LONGEST_BODY = 1 << 20

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware that lets only our own page through, and puts safety headers on every answer.

    Args:
        app: what is guarded.
        token: what the page's address must say once; a cookie says it from then on.
        cookie: the cookie's name; cookies are not kept apart by port, so that each server needs its own.
    """

    def __init__(self, app: ASGIApp, token: str, cookie: str) -> None:
        self._app = app
        self._token = token
        self._cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] != "http":
            return
        request = Request(scope)

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        refusal = self._refusal(request)
        if refusal is not None:
            status, why = refusal
            await JSONResponse({"error": why}, status)(scope, receive, send_safely)
        elif request.method == "GET" and "token" in request.query_params:
            # The token leaves the address bar, so that no history, bookmark or screenshot keeps it.
            rest = request.url.remove_query_params("token").query
            response = RedirectResponse(f"/?{rest}" if rest else "/", 303)
            response.set_cookie(self._cookie, self._token, path="/", httponly=True, samesite="strict")
            await response(scope, receive, send_safely)
        else:
            await self._app(scope, receive, send_safely)

    def _refusal(self, request: Request) -> tuple[int, str] | None:
        headers = request.headers
        host = headers.get("host", "")
        if host.rpartition(":")[0] not in LOOPBACK and host not in LOOPBACK:
            return 400, "this host name is not allowed"
        if "origin" in headers and headers["origin"] != f"http://{host}":
            return 403, "requests from other pages are refused"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and request.url.path != "/":
            return 403, "requests from other pages are refused"
        if request.method == "POST":
            if "origin" not in headers:
                return 403, "the Origin header is missing"
            if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
                return 415, "the body must be JSON"
            length = headers.get("content-length", "")
            if not length.isdecimal() or int(length) > LONGEST_BODY:
                return 413, "the body is too long, or its length is unknown"
        elif request.method not in ("GET", "HEAD"):
            return 405, "only GET and POST are allowed"
        if not self._knows_token(headers, request.query_params.get("token")):
            return 403, "open the address that `tif spans edit` printed"
        return None

    def _knows_token(self, headers: Headers, asked: str | None) -> bool:
        said = asked
        if said is None:
            try:
                cookies: SimpleCookie = SimpleCookie(headers.get("cookie", ""))
            except CookieError:
                return False
            said = cookies[self._cookie].value if self._cookie in cookies else ""
        return secrets.compare_digest(said.encode(), self._token.encode())


__all__ = ["LONGEST_BODY", "LOOPBACK", "Guard"]
