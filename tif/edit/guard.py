"""Access control of the server: only a browser on this machine with our own page and the token may use it.

A foreign page in the same browser can send requests to 127.0.0.1, and can point its own host name there (DNS
rebinding). The server therefore checks `Host`, checks `Origin` on writes, accepts only JSON (which a foreign page
cannot send without a preflight request), and requires a token that only the command's output contains.
"""

from __future__ import annotations

import re
import secrets
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LONGEST_BODY = 1 << 20

_OWN_HOST = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::([1-9][0-9]{0,4}))?", re.ASCII)
_LAST_PORT = 65535

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware that accepts only our own page, and adds safety headers to every response.

    Args:
        app: the guarded application.
        token: must be in the first address; afterwards a cookie carries it.
        cookie: the cookie's name. Browsers share cookies between ports, so each server needs its own name.
    """

    def __init__(self, app: ASGIApp, token: str, cookie: str) -> None:
        self._app = app
        self._token = token
        self._cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse one request, or pass it on."""
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
            # Remove the token from the address bar, so that no history, bookmark or screenshot keeps it.
            rest = request.url.remove_query_params("token").query
            response = RedirectResponse(f"/?{rest}" if rest else "/", 303)
            response.set_cookie(self._cookie, self._token, path="/", httponly=True, samesite="strict")
            await response(scope, receive, send_safely)
        else:
            await self._app(scope, receive, send_safely)

    def _refusal(self, request: Request) -> tuple[int, str] | None:
        headers = request.headers
        host = headers.get("host", "")
        # Another port of this machine is let in: ssh may forward the page to it.
        own = _OWN_HOST.fullmatch(host)
        if own is None or int(own[1] or 1) > _LAST_PORT:
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
            # With chunks, the length that the header names does not hold.
            named = length.isascii() and length.isdecimal() and "transfer-encoding" not in headers
            if not named or len(length) > 9 or int(length) > LONGEST_BODY:
                return 413, "the body is too long, or its length is unknown"
        elif request.method not in ("GET", "HEAD"):
            return 405, "only GET and POST are allowed"
        if not self._knows_token(headers, request.query_params.get("token")):
            return 403, "open the address that `tif spans edit` printed"
        return None

    def _knows_token(self, headers: Headers, token: str | None) -> bool:
        if token is None:
            try:
                cookies: SimpleCookie = SimpleCookie(headers.get("cookie", ""))
            except CookieError:
                return False
            token = cookies[self._cookie].value if self._cookie in cookies else ""
        return secrets.compare_digest(token.encode(), self._token.encode())


__all__ = ["LONGEST_BODY", "Guard"]
