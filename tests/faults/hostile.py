"""An HTTP server that writes bytes of the test's choice: real sockets, one thread, every kind of bad reply."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType

from tests.annotate.judge.server import quotes

GOOD = quotes("Ravensmoor").content or ""

Write = Callable[[asyncio.StreamWriter], Awaitable[None]]
Reply = bytes | Write


def completion(content: object = GOOD, **more: object) -> bytes:
    """The JSON of a chat completion. Half surrogate pairs stay escaped."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return json.dumps({"choices": [choice], "usage": usage, **more}).encode()


def http(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    """A well-formed reply."""
    fields = {"content_type": "application/json", "content_length": str(len(body)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode("latin-1") + body


def endless(head: bytes, piece: bytes) -> Write:
    """A reply that begins with `head` and never ends."""

    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()

    return write


class Hostile:
    """Serves in a thread of its own while the context lasts. `script` gets a request's sample and headers."""

    def __init__(self, script: Callable[[str, str], Reply]) -> None:
        self.script = script
        self.heads: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()), daemon=True)
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Hostile:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        tasks: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                await self._converse(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass  # the client went away, or the test is over
            finally:
                tasks.discard(task)
                writer.transport.abort()

        server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=2**24)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.heads.append(head)
            length = re.search(r"(?i)content-length: *(\d+)", head)
            body = await reader.readexactly(int(length[1]) if length else 0)
            samples = re.findall(r"<text>\n(.*?)\n</text>", body.decode().replace("\\n", "\n"), re.DOTALL)
            reply = self.script(samples[-1] if samples else "", head)
            if isinstance(reply, bytes):
                writer.write(reply)
                await writer.drain()
                if b"content-length" not in reply.lower():
                    return
            else:
                await reply(writer)
