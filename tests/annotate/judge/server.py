"""A judge's server on loopback that misbehaves on cue: real sockets, plain asyncio, an OpenAI-shaped endpoint.

A script decides what each request gets. It sees the request's last record (its question and text), and how often that
record was asked before, and returns one of the outcomes below.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Request:
    """What the judge was asked."""

    body: dict[str, Any]
    headers: dict[str, str]
    prompt: str
    text: str
    tries: int
    """How often this record was asked before."""
    path: str = ""
    """The target in the request's first line."""

    @property
    def form(self) -> str:
        return self.body.get("response_format", {}).get("type", "text")

    @property
    def again(self) -> str:
        """The words of the second asking, or nothing."""
        last = self.body["messages"][-1]["content"]
        return last if "<text>" not in last else ""


@dataclass(frozen=True)
class Say:
    """A chat completion with this content."""

    content: str | None
    finish: str = "stop"
    refusal: str | None = None
    usage: bool = True


@dataclass(frozen=True)
class Status:
    """An HTTP status with an error body."""

    code: int
    message: str = "no"
    headers: dict[str, str] = field(default_factory=dict)
    error_code: str | None = None


@dataclass(frozen=True)
class Raw:
    """A 200 with this body."""

    body: bytes
    kind: str = "application/json"


class Hang:
    """Accept the request, answer nothing."""


class Reset:
    """Close the connection at once, with a TCP reset."""


class Half:
    """Promise more bytes than are sent."""


class Drip:
    """A byte every now and then, for ever."""


Outcome = Say | Status | Raw | Hang | Reset | Half | Drip
Script = Callable[[Request], Outcome]


def quotes(*texts: str | tuple[str, int]) -> Say:
    """A well-formed reply."""
    rows = [
        {"text": t, "occurrence": None} if isinstance(t, str) else {"text": t[0], "occurrence": t[1]} for t in texts
    ]
    return Say(json.dumps({"asked": "something", "unwanted": rows}, ensure_ascii=False))


class Server:
    """Serves in a thread of its own while the context lasts."""

    def __init__(self, script: Script, *, latency: float = 0.0) -> None:
        self.script = script
        self.latency = latency
        self.requests: list[Request] = []
        self._seen: Counter[tuple[str, str]] = Counter()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()), daemon=True)
        self.url = ""

    def __enter__(self) -> Server:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    def asked(self, text: str) -> int:
        """How many requests were about this text."""
        return sum(request.text == text for request in self.requests)

    async def _serve(self) -> None:
        connections: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            connections.add(task)
            try:
                await self._converse(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass  # the client went away, or the test is over
            finally:
                connections.discard(task)
                writer.transport.abort()

        server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=2**26)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
            body = json.loads(await reader.readexactly(int(headers.get("content-length", "0"))) or b"{}")
            request = self._request(body, headers, head[0].split(" ")[1])
            self.requests.append(request)
            if self.latency:
                await asyncio.sleep(self.latency)
            outcome = self.script(request)
            match outcome:
                case Hang():
                    await asyncio.sleep(3600)
                case Reset():
                    # A linger of zero seconds makes closing send RST, not FIN.
                    link = writer.get_extra_info("socket")
                    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                case Half():
                    writer.write(
                        b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{"ch'
                    )
                    await writer.drain()
                    return
                case Drip():
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99999\r\n\r\n")
                    while True:
                        writer.write(b" ")
                        await writer.drain()
                        await asyncio.sleep(0.05)
                case _:
                    writer.write(self._response(request, outcome))
                    await writer.drain()

    def _request(self, body: dict[str, Any], headers: dict[str, str], path: str) -> Request:
        records = [
            found
            for message in body.get("messages", [])
            if message["role"] == "user"
            for found in re.findall(
                r"(?:<question>\n(.*?)\n</question>|There is no question\.)\n<text>\n(.*?)\n</text>",
                message["content"],
                flags=re.DOTALL,
            )
        ]
        record = records[-1] if records else ("", "")
        tries = self._seen[record]
        self._seen[record] += 1
        return Request(body, headers, record[0], record[1], tries, path)

    @staticmethod
    def _response(request: Request, outcome: Say | Status | Raw) -> bytes:
        code, kind, extra = 200, "application/json", {}
        match outcome:
            case Raw(body=payload, kind=kind):
                pass
            case Status():
                code, extra = outcome.code, outcome.headers
                error = {"message": outcome.message, "type": "error", "code": outcome.error_code}
                payload = json.dumps({"error": error}).encode()
            case Say():
                message = {"role": "assistant", "content": outcome.content, "refusal": outcome.refusal}
                completion: dict[str, Any] = {
                    "id": "c",
                    "object": "chat.completion",
                    "created": 0,
                    "model": request.body.get("model"),
                    "choices": [{"index": 0, "message": message, "finish_reason": outcome.finish}],
                }
                if outcome.usage:
                    completion["usage"] = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
                payload = json.dumps(completion).encode()
        lines = {"content-type": kind, "content-length": str(len(payload)), **extra}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"HTTP/1.1 {code} X\r\n{head}\r\n".encode() + payload
