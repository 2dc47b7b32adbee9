"""How near the judge comes to the most that a server of fixed latency allows, and what a finished run costs to resume.

    python benchmarks/judge.py [--concurrency 32] [--latency 0.2] [--records 6400]

The server runs in a process of its own and answers every request `latency` seconds after it came. Nobody can get more
than concurrency / latency replies a second from it. Prints ratios, and exits with 1 if one misses its mark.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from tif import sources
from tif.annotate.judge.annotator import LlmAnnotator
from tif.annotate.judge.options import JudgeOptions
from tif.annotate.run import run

REPLY = {
    "id": "c",
    "object": "chat.completion",
    "created": 0,
    "model": "judge",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": '{"asked": "where", "unwanted": [{"text": "Kestrel Point"}]}'},
        }
    ],
    "usage": {"prompt_tokens": 700, "completion_tokens": 20, "total_tokens": 720},
}


def serve(latency: float, link: Connection) -> None:
    """Answer after `latency` seconds; say the address, then how many requests there were whenever asked."""
    body = json.dumps(REPLY).encode()
    reply = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    served = 0

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                came = time.monotonic()
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                await reader.readexactly(int(length.split(b":")[1]))
                served += 1
                await asyncio.sleep(latency - (time.monotonic() - came))
                writer.write(reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(converse, "127.0.0.1", 0)
        link.send(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
        while await asyncio.to_thread(link.recv):
            link.send(served)

    asyncio.run(main())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds")
    parser.add_argument("--records", type=int, default=6400)
    given = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(given.latency, there), daemon=True)
    server.start()
    url = here.recv()

    def requests() -> int:
        here.send(True)
        return int(here.recv())

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data.jsonl")
        rows = (
            {"question": f"Where was author {n} born?", "answer": "In Kestrel Point."} for n in range(given.records)
        )
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        source = sources.load(str(data))
        out = Path(folder, "set.parquet")
        options = JudgeOptions(
            model="judge", base_url=url, concurrency=given.concurrency, cache=Path(folder, "judge.sqlite")
        )

        def annotate() -> float:
            annotator = LlmAnnotator(options)
            began = time.perf_counter()
            report = run(source, annotator, out)
            assert report.failed == 0
            assert len(report.set) == given.records
            return time.perf_counter() - began

        seconds = annotate()
        first = requests()
        annotate()
        resumed = requests() - first
    here.send(False)
    server.join()
    limit = given.concurrency / given.latency
    ratio = first / seconds / limit
    print(f"requests a second against the limit of {limit:.0f}: {first / seconds:.1f} = {ratio:.3f} (mark: 0.95)")
    print(f"requests for resuming a finished run: {resumed} (mark: 0)")
    return int(ratio < 0.95 or resumed != 0 or first != given.records)


if __name__ == "__main__":
    sys.exit(main())
