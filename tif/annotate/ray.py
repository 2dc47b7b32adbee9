"""Run an annotator in worker processes of Ray Data, on all cores of a machine or on a cluster.

Each worker creates the annotator once and receives blocks of samples. Finished blocks come back as Arrow tables in any
order. `tif.annotate.run` treats this like any other annotator, so the set equals that of a run without Ray.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tif.annotate.base import Annotator, Workspace
from tif.annotate.methods import make
from tif.errors import MissingError, TifError, UsageError
from tif.options import Options
from tif.packages import install_hint
from tif.sets import rows
from tif.sources import Source
from tif.spans import AnnotationSet, Example

if TYPE_CHECKING:
    from types import ModuleType

    import pyarrow as pa

BLOCK: Final = 256
"""The most examples in a block. A worker takes one block at a time. If it dies, the block is annotated again."""

UNSUITED: Final = {
    "llm": "a judge is as fast as its server; use --concurrency",
    "manual": "it only reads records",
}
"""Methods that gain nothing from worker processes, and why."""

_HINT: Final = "Finished examples are kept. Run the same command again."

_PATIENCE: Final = 600
"""Seconds that Ray waits for all workers to start before it sends the first block."""


class RayAnnotator:
    """Runs another annotator in worker processes.

    The variable RAY_ADDRESS may name a cluster. Without it, Ray starts on this machine, and stops after the run. Every
    node of a cluster needs tif, the annotator's package and its models.

    Args:
        local: the annotator, created here for its provenance.
        method: its name, as in `--method`.
        options: its options, from which each worker creates its own annotator.
        workers: processes, each on one CPU. None: one for each CPU that Ray has.

    Raises:
        UsageError: for a method that Ray does not make faster, or fewer than one worker.
        MissingError: if Ray is not installed.
    """

    def __init__(self, local: Annotator, method: str, options: Options, *, workers: int | None = None) -> None:
        if method in UNSUITED:
            raise UsageError(f"--method {method} does not run on Ray", where="--engine", why=UNSUITED[method])
        if workers is not None and workers < 1:
            raise UsageError(f"{workers} is below 1", where="--workers")
        _ray()
        self.name = local.name
        self._local, self._method, self._options = local, method, options
        self._workers = workers
        self._seen: set[str] = set()

    def describe(self) -> dict[str, object]:
        """Return the annotator's own provenance, and the number of workers that took part."""
        return {**self._local.describe(), "observed": {"engine": "ray", "workers": len(self._seen)}}

    def annotate(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Yield every example, in the order in which blocks are finished.

        Raises:
            TifError: if Ray cannot be reached, or a worker stops. A single failed example does not stop it.
        """
        ray = _ray()
        mine = not ray.is_initialized()
        try:
            if mine:
                _start(ray, self._workers)
            yield from self._blocks(ray, examples)
        except (ray.exceptions.RayError, ConnectionError, RuntimeError) as error:
            lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
            raise TifError("Ray stopped", why=lines[-1].strip()[:300], hint=_HINT) from error
        finally:
            if mine:
                ray.shutdown()

    def _blocks(self, ray: ModuleType, examples: Iterable[Example]) -> Iterator[Example]:
        samples = tuple(examples)
        workers = self._workers or int(ray.cluster_resources().get("CPU", 1))
        # Several blocks for each worker, so that none waits long for the last one.
        size = min(BLOCK, -(-len(samples) // (4 * workers))) or 1
        blocks = [rows.table(AnnotationSet(samples[at : at + size])) for at in range(0, len(samples), size)]
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.wait_for_min_actors_s = _PATIENCE
        tables = ray.data.from_arrow(blocks).map_batches(
            _Worker,
            fn_constructor_kwargs={"method": self._method, "options": self._options, "folder": str(Path.cwd())},
            batch_format="pyarrow",
            batch_size=size,
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=1,
        )
        stopped = ""
        # After a worker stops, the loop still takes what the others return: finished examples are kept. Ray 2.40 also
        # ends this process without a message if it is shut down while blocks are on their way.
        for table in tables.iter_batches(batch_format="pyarrow", batch_size=None):
            if message := table["stopped"][0].as_py():
                stopped = stopped or message
                continue
            self._seen |= set(table["worker"].to_pylist())
            yield from (rows.read_row(row).checked() for row in rows.raw(table.select(rows.SCHEMA.names).to_batches()))
        if stopped:
            raise TifError(f"a worker stopped: {stopped}", hint=_HINT)


class _Worker:
    """The annotator of a worker process, created when the first block arrives."""

    def __init__(self, method: str, options: Options, folder: str) -> None:
        self._method, self._options = method, options
        # Annotators that need the samples or the set's folder do not run on Ray: see UNSUITED.
        nothing = Source(id="", split="", examples=(), rows=(), places=())
        self._workspace = Workspace(source=nothing, folder=Path(folder))
        self._annotator: Annotator | None = None
        # Paths among the options are relative to where the command was typed.
        if Path(folder).is_dir():
            os.chdir(folder)

    def __call__(self, block: pa.Table) -> pa.Table:
        import pyarrow as pa
        import ray

        stopped = ""
        try:
            self._annotator = self._annotator or make(self._method, self._options, self._workspace)
            samples = tuple(rows.read_row(row).checked() for row in rows.raw(block.to_batches()))
            block = rows.table(AnnotationSet(tuple(self._annotator.annotate(samples))))
        except TifError as error:
            stopped = str(error)
        except Exception as error:  # If it left this method, Ray would retry without end and print each traceback.
            stopped = f"{type(error).__name__}: {error}"
        me = f"{ray.util.get_node_ip_address()}/{os.getpid()}"
        for name, value in (("worker", me), ("stopped", stopped)):
            block = block.append_column(name, pa.array([value] * block.num_rows, pa.string()))
        return block


def _ray() -> ModuleType:
    # By default, Ray sends usage statistics to its makers. The texts are private, and so is their number.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray's log goes to its session's folder. Failures come back as exceptions.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError:
        raise MissingError("Ray is not installed", hint=install_hint("ray")) from None
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    module: ModuleType = ray
    return module


def _start(ray: ModuleType, workers: int | None) -> None:
    elsewhere = "RAY_ADDRESS" in os.environ
    # One CPU more than workers: Ray Data needs one for itself.
    count = None if elsewhere or workers is None else workers + 1
    ray.init(num_cpus=count, include_dashboard=False, log_to_driver=False, logging_level="ERROR")


__all__ = ["BLOCK", "UNSUITED", "RayAnnotator"]
