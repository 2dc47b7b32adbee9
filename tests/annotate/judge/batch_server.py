"""A server on loopback that speaks the Batch API as OpenAI does, traps included."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


class BatchServer:
    """Files, batches and direct chat. A batch ends when `finish` is called.

    Args:
        reply: from a request's body to a reply's text, or None for a request that fails.
    """

    def __init__(self, reply: Callable[[dict[str, Any]], str | None]) -> None:
        self.reply = reply
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.chats = 0
        self.broken: set[str] = set()
        """Paths that answer 400, or that do their work and then break the connection (`!` before the path)."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                return

            def do_GET(self) -> None:
                self.answer(b"")

            def do_POST(self) -> None:
                self.answer(self.rfile.read(int(self.headers["content-length"])))

            def answer(self, body: bytes) -> None:
                path = self.path.partition("?")[0].removeprefix("/v1")
                if f"{self.command} {path}" in outer.broken:
                    code, payload = 400, b'{"error": {"message": "not now"}}'
                else:
                    code, payload = 200, outer.handle(self.command, path, body)
                if f"!{self.command} {path}" in outer.broken:
                    self.close_connection = True
                    self.connection.close()
                    return
                self.send_response(code)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> BatchServer:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def handle(self, method: str, path: str, body: bytes) -> bytes:
        if path == "/chat/completions":
            self.chats += 1
            return json.dumps(_completion(self.reply(json.loads(body)) or "")).encode()
        if (method, path) == ("POST", "/files"):
            match = re.search(rb'filename="[^"]+"\r\n(?:[^\r\n]+\r\n)*\r\n(.*?)\r\n--', body, flags=re.DOTALL)
            assert match is not None
            assert b'name="purpose"' in body
            name = f"file-{len(self.files)}"
            self.files[name] = match[1]
            return json.dumps({"id": name, "object": "file", "purpose": "batch"}).encode()
        if (method, path) == ("POST", "/batches"):
            asked = json.loads(body)
            name = f"batch-{len(self.batches)}"
            self.batches[name] = {"id": name, "object": "batch", "status": "in_progress", "created_at": 0, **asked}
            return json.dumps(self.batches[name]).encode()
        if path == "/batches":
            return json.dumps({"object": "list", "data": list(self.batches.values()), "has_more": False}).encode()
        if match := re.fullmatch(r"/batches/(.+)", path):
            return json.dumps(self.batches[match[1]]).encode()
        match = re.fullmatch(r"/files/(.+)/content", path)
        assert match is not None, path
        return self.files[match[1]]

    def finish(self, status: str = "completed") -> None:
        """End all open batches: output in another order than asked, failures in the error file, no file if empty."""
        for name, batch in self.batches.items():
            if batch["status"] != "in_progress":
                continue
            output: list[bytes] = []
            errors: list[bytes] = []
            for line in reversed(self.files[batch["input_file_id"]].splitlines()):
                asked = json.loads(line)
                reply = self.reply(asked["body"])
                odd = {"error": {"message": "too odd"}}
                code, body = (200, _completion(reply)) if reply is not None else (400, odd)
                row = {"id": "r", "custom_id": asked["custom_id"], "response": {"status_code": code, "body": body}}
                (output if code == 200 else errors).append(json.dumps({**row, "error": None}).encode())
            batch["status"] = status
            batch["request_counts"] = {
                "total": len(output) + len(errors),
                "completed": len(output),
                "failed": len(errors),
            }
            for kind, rows in (("output_file_id", output), ("error_file_id", errors)):
                batch[kind] = f"{name}-{kind}" if rows else None
                if rows:
                    self.files[batch[kind]] = b"\n".join(rows) + b"\n"

    def ordered(self) -> list[str]:
        """The custom ids of all requests of all batches."""
        return [
            json.loads(line)["custom_id"]
            for batch in self.batches.values()
            for line in self.files[batch["input_file_id"]].splitlines()
        ]


def _completion(content: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    return {
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    }
