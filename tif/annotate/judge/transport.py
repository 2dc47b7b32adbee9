"""The judge's HTTP transport: `aiohttp` under the `openai` client.

The client's own transport takes three times as much processor time, which is more than the rest of a request. Time
between a reply and the next request lowers the throughput (benchmarks/judge.py).

A reply is not trusted: its size is limited, also when it is compressed, no redirect is followed, and of its headers
only those pass on that say when to try again.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import json
import ssl
import zlib
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import aiohttp
import httpx2
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from tif.annotate.judge.address import Address, Proxy, tls_context

if TYPE_CHECKING:
    from aiohttp.client import ClientTimeout
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.http import RawResponseMessage
    from aiohttp.streams import StreamReader
    from aiohttp.tracing import Trace

MOST_BYTES: Final = 12 * 2**20
"""The most bytes of a reply to one question, also after decompression. A list of quotes is far smaller."""

_MOST_HELD: Final = 96 * 2**20
"""The most bytes of all replies that are being read. Beyond it, only small replies are read to their end."""
_SMALL: Final = 2**20

_ERROR_PAGE: Final = 2**16
"""The most bytes to read of an error's reply. The rest is not needed for a message."""

_GAP: Final = 0.003
"""Seconds between two requests, about the processor time of one. Without a gap, replies that arrive together are read
one after the other, and their next requests leave together and late, for the rest of the run."""

_MOST_INTERIM: Final = 16
"""The most interim replies (status 100 to 199) before a reply. A server that never stops sending them would take the
processor time of the other requests until the time limit."""

_PASSED_ON: Final = ("retry-after", "retry-after-ms", "x-should-retry")


class BodyError(Exception):
    """Raised for a reply that is too large, or compressed in a way that was not requested. Trying again is useless."""


class Transport(httpx2.AsyncBaseTransport):
    """Sends a request and reads the complete reply within one time limit.

    Other transports limit each read. Such a limit starts again with every byte that a slow server sends.

    Args:
        address: the endpoint, whose query goes to every request.
        seconds: for one try, from the first byte sent to the last byte received.
        concurrency: requests at the same time. Others wait, and their time limit starts after the wait.
        most_bytes: the most bytes of a reply.

    Raises:
        UsageError: for a proxy that cannot be used, or certificates that cannot be read.
    """

    def __init__(self, address: Address, *, seconds: float, concurrency: int, most_bytes: int = MOST_BYTES) -> None:
        self._query = address.query
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._most_held = max(_MOST_HELD, most_bytes)
        self._slots = asyncio.Semaphore(concurrency)
        self._turn = 0.0
        self._held = 0
        self._session: aiohttp.ClientSession | None = None
        self._secure = address.secure
        self._proxy = Proxy.on_the_way(address.url)
        encrypted = self._secure or (self._proxy is not None and self._proxy.url.startswith("https:"))
        self._tls = tls_context() if encrypted else None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The reply.

        Raises:
            httpx2.ConnectError: if nobody takes the connection.
            httpx2.ReadTimeout: if the reply is not there in time.
            httpx2.ReadError: if the connection breaks.
            BodyError: if the reply is too large or cannot be decompressed.
        """
        content = await request.aread() or None
        try:
            async with self._slots:
                await self._wait_for_turn()
                async with asyncio.timeout(self._seconds):
                    return await self._exchange(request, content)
        except TimeoutError:
            raise httpx2.ReadTimeout(f"no complete reply within {self._seconds:g} s", request=request) from None
        except aiohttp.ClientConnectorError as error:
            raise httpx2.ConnectError(str(error), request=request) from None
        except aiohttp.ClientResponseError as error:  # its text contains the address with the query
            raise httpx2.ReadError(error.message or type(error).__name__, request=request) from None
        except (BodyError, httpx2.RequestError):
            raise
        except Exception as error:
            reason = type(error).__name__ if isinstance(error, aiohttp.InvalidURL) else str(error)
            raise httpx2.ReadError(reason or type(error).__name__, request=request) from None

    async def _exchange(self, request: httpx2.Request, content: bytes | None) -> httpx2.Response:
        session = self._session = self._session or _session(self._tls)
        address = str(request.url)
        if self._query:
            address += ("&" if request.url.query else "?") + self._query
        # A name and password in the address have become a header before the request came here.
        url = URL(address, encoded=True).with_user(None)
        headers = [(name, value) for name, value in request.headers.multi_items() if name != "accept-encoding"]
        headers.append(("accept-encoding", "identity"))
        login = _login(self._proxy)
        if not self._secure:
            headers += login.items()
        async with session.request(
            request.method,
            url,
            headers=headers,
            data=content,
            allow_redirects=False,
            proxy=self._proxy.url if self._proxy is not None else None,
            proxy_headers=login if self._proxy is not None and self._secure else None,
        ) as reply:
            body = await self._body(reply)
            kept = [(name, value) for name in _PASSED_ON if (value := reply.headers.get(name)) is not None]
            # A charset of the server's choice would decode the text: idna and zlib are among the names.
            kind = reply.headers.get("content-type", "").partition(";")[0].strip()
            kept += [("content-type", kind if kind.isascii() else "application/octet-stream")]
            return httpx2.Response(reply.status, headers=kept, content=body, request=request)

    async def _body(self, reply: aiohttp.ClientResponse) -> bytes:
        if 300 <= reply.status < 400:
            reply.close()
            target = urlsplit(reply.headers.get("location", ""))
            target = target._replace(netloc=target.netloc.rpartition("@")[2], query="", fragment="")
            return json.dumps({"error": {"message": target.geturl()}}).encode()
        failed = reply.status >= 400
        most = _ERROR_PAGE if failed else self._most_bytes
        body = bytearray()
        size = 0
        try:
            async for chunk in reply.content.iter_any():
                body += chunk
                size += len(chunk)
                self._held += len(chunk)
                large = size > most or (self._held > self._most_held and size > _SMALL)
                if large and failed:
                    reply.close()
                    break
                if large:
                    reply.close()
                    body.clear()  # the traceback would keep it
                    raise BodyError(
                        f"is larger than {most // 2**20} MiB" if size > most else "is large, like others at the time"
                    )
        finally:
            self._held -= size
        coding = reply.headers.get("content-encoding", "identity").strip().lower()
        try:
            return _decompressed(bytes(body[:most]), coding, most, cut=failed)
        except BodyError:
            if failed:
                return b""
            raise

    async def _wait_for_turn(self) -> None:
        now = asyncio.get_running_loop().time()
        self._turn = max(now, self._turn + _GAP)
        if self._turn > now:
            await asyncio.sleep(self._turn - now)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


def _decompressed(body: bytes, coding: str, most: int, *, cut: bool) -> bytes:
    """Return a body without its compression, which no request asks for.

    Raises:
        BodyError: for another coding than gzip and deflate, damaged data, or more than `most` bytes unless `cut`.
    """
    if coding in ("", "identity"):
        return body
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise BodyError(f"is encoded as {coding[:40]!r}, which was not requested")
    raw_deflate = coding == "deflate" and body[:1] != b"\x78"
    decoder = zlib.decompressobj(-zlib.MAX_WBITS if raw_deflate else zlib.MAX_WBITS | 32)
    try:
        text = decoder.decompress(body, most + 1)
    except zlib.error as error:
        raise BodyError(f"is damaged {coding}: {error}") from None
    if not cut and len(text) > most:
        del text  # the traceback would keep it
        raise BodyError(f"is larger than {most // 2**20} MiB after decompression")
    if not cut and not decoder.eof:
        raise BodyError(f"is {coding} that broke off")
    return text[:most]


def _login(proxy: Proxy | None) -> dict[str, str]:
    """Return the header with a proxy's user name and password."""
    if proxy is None or not (proxy.user or proxy.password):
        return {}
    login = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
    return {"Proxy-Authorization": f"Basic {login}"}


class _Protocol(ResponseHandler):
    """Reads the beginning of a reply after a limited number of interim replies."""

    _heads = 0

    def set_response_params(self, **params: Any) -> None:
        """Prepare for the reply to the next request."""
        self._heads = 0
        super().set_response_params(**params)

    async def read(self) -> tuple[RawResponseMessage, StreamReader]:
        """Return the next status line with its headers, and the body's stream.

        Raises:
            BodyError: after too many interim replies.
        """
        self._heads += 1
        if self._heads > _MOST_INTERIM + 1:
            raise BodyError(f"begins with more than {_MOST_INTERIM} interim replies (status 1xx)")
        return await super().read()


class _Connector(aiohttp.TCPConnector):
    """Reuses only connections without unread data: a second reply would be taken for that to the next request."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        super().__init__(limit=0, ssl=tls if tls is not None else True)
        handler: type[ResponseHandler] = _Protocol
        self._factory = functools.partial(handler, loop=self._loop)

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout) -> Connection:
        """Return a connection for a request."""
        while True:
            connection = await super().connect(req, traces, timeout)
            if connection.protocol is None or not connection.protocol.should_close:
                return connection
            connection.close()


def _session(tls: ssl.SSLContext | None) -> aiohttp.ClientSession:
    """Connections without a limit on their number: the caller limits the requests.

    The environment is not trusted here: `aiohttp` would take a login from .netrc, and would not read ALL_PROXY.
    """
    return aiohttp.ClientSession(
        connector=_Connector(tls),
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )


__all__ = ["MOST_BYTES", "BodyError", "Transport"]
