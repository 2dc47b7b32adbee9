"""Let one system call of a process fail, with strace, and see what is left."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

NAMES = ("openat", "write", "fsync", "rename", "ftruncate", "mkdir")
_LINE = re.compile(r"^(\d+) +(\w+)\((.*)$")
_ANY_TRACER = 0x59616D61, ctypes.c_ulong(-1)


def missing() -> str:
    """Why system calls cannot be made to fail here; empty if they can."""
    if sys.platform != "linux" or shutil.which("strace") is None:
        return "needs Linux and strace (apt-get install strace)"
    done = subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, text=True)
    return "" if done.returncode == 0 else f"strace cannot trace here: {done.stderr.strip()[:100]}"


@dataclass(frozen=True)
class Call:
    """The `when`-th call of its name, and its arguments."""

    name: str
    when: int
    arguments: str


@dataclass(frozen=True)
class Done:
    code: int
    output: str


def run(work: Callable[[], int], folder: Path, fault: str = "", log: Path | None = None) -> Done:
    """Do `work` in a child of this process, which has everything imported already.

    Args:
        work: returns the exit code.
        folder: for the output.
        fault: `write:error=EIO:when=3`; empty for none.
        log: where strace logs every call of `NAMES`.
    """
    go_read, go_write = os.pipe()
    ready_read, ready_write = os.pipe()
    output = folder / "output.txt"
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            ctypes.CDLL(None).prctl(*_ANY_TRACER, 0, 0, 0)
            sink = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(sink, 1)
            os.dup2(sink, 2)
            sys.stdout, sys.stderr = (os.fdopen(n, "w", closefd=False) for n in (1, 2))
            os.write(ready_write, b"x")
            os.read(go_read, 1)
            code = work()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 71
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    os.read(ready_read, 1)  # the child's own calls are not counted
    tracer = None
    if fault or log:
        trace = ["-e", f"trace={','.join(NAMES)}", *(["-e", f"inject={fault}"] if fault else [])]
        command = ["strace", "-f", "-qq", "-y", "-s", "0", "-o", str(log or os.devnull), *trace, "-p", str(pid)]
        tracer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while "TracerPid:\t0" in Path(f"/proc/{pid}/status").read_text() and tracer.poll() is None:
            time.sleep(0.002)
    os.write(go_write, b"x")
    _, status = os.waitpid(pid, 0)
    if tracer is not None:
        tracer.wait()
    for descriptor in (go_read, go_write, ready_read, ready_write):
        os.close(descriptor)
    return Done(os.waitstatus_to_exitcode(status), output.read_text(errors="replace"))


def calls(work: Callable[[], int], folder: Path) -> list[Call]:
    """Do the work, and return its calls on files in `folder`."""
    log = folder.parent / "strace.log"
    assert run(work, folder.parent, log=log).code == 0
    return [call for call in read(log) if str(folder) in call.arguments]


def read(log: Path) -> list[Call]:
    """Return the calls of the first thread in a log of strace."""
    lines = [match for line in log.read_text(errors="replace").splitlines() if (match := _LINE.match(line))]
    counts: dict[str, int] = {}
    found = []
    for _, name, arguments in (match.groups() for match in lines if match[1] == lines[0][1]):
        counts[name] = counts.get(name, 0) + 1
        found.append(Call(name, counts[name], arguments))
    return found
