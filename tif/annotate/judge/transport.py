"""The judge's HTTP transport: `aiohttp` under the `openai` client.

The client's own transport takes three times as much processor time, which is more than the rest of a request. Time
between a reply and the next request lowers the throughput (benchmarks/judge.py).
"""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp
import httpx2
from yarl import URL

_GAP: Final = 0.003
"""Seconds between two requests, about the processor time of one. Without a gap, replies that arrive together are read
one after the other, and their next requests leave together and late, for the rest of the run."""


class Transport(httpx2.AsyncBaseTransport):
    """Sends a request and reads the complete reply within one time limit.

    Other transports limit each read. Such a limit starts again with every byte that a slow server sends.

    Args:
        seconds: for one try, from the first byte sent to the last byte received.
        concurrency: requests at the same time. Others wait, and their time limit starts after the wait.
    """

    def __init__(self, seconds: float, concurrency: int) -> None:
        self._seconds = seconds
        self._slots = asyncio.Semaphore(concurrency)
        self._turn = 0.0
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The reply.

        Raises:
            httpx2.ConnectError: if nobody takes the connection.
            httpx2.ReadTimeout: if the reply is not there in time.
            httpx2.ReadError: if the connection breaks.
        """
        session = self._session = self._session or _session()
        # A name and password in the address have become a header before the request came here.
        url = URL(str(request.url), encoded=True).with_user(None)
        body = await request.aread() or None
        headers = request.headers.multi_items()
        try:
            async with self._slots:
                await self._wait_for_turn()
                async with (
                    asyncio.timeout(self._seconds),
                    session.request(request.method, url, headers=headers, data=body, allow_redirects=False) as reply,
                ):
                    content = await reply.read()
        except TimeoutError:
            raise httpx2.ReadTimeout(f"no complete reply within {self._seconds:g} s", request=request) from None
        except aiohttp.ClientConnectorError as error:
            raise httpx2.ConnectError(str(error), request=request) from None
        except aiohttp.ClientError as error:
            raise httpx2.ReadError(str(error) or type(error).__name__, request=request) from None
        return httpx2.Response(reply.status, headers=reply.raw_headers, content=content, request=request)

    async def _wait_for_turn(self) -> None:
        now = asyncio.get_running_loop().time()
        self._turn = max(now, self._turn + _GAP)
        if self._turn > now:
            await asyncio.sleep(self._turn - now)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


def _session() -> aiohttp.ClientSession:
    """Connections without a limit on their number: the caller limits the requests."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=httpx2.create_ssl_context()),
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=True,
    )


__all__ = ["Transport"]
