"""`tif annotate` as a function: read the samples, create the annotator, run it, save the set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from tif import sources
from tif.annotate.base import Workspace
from tif.annotate.judge.options import JudgeOptions
from tif.annotate.methods import METHODS, make
from tif.annotate.options import AnnotateOptions
from tif.annotate.run import Report, run
from tif.entities.policy_file import read_policy
from tif.errors import UsageError
from tif.options import Options
from tif.sets import store

if TYPE_CHECKING:
    from tif.annotate.judge.annotator import LlmAnnotator
    from tif.annotate.judge.batch import BatchStatus, SentBatch
    from tif.annotate.judge.estimate import Estimate


def annotate(options: AnnotateOptions, method: Options | None = None) -> Report:
    """Annotate a dataset and save it as an annotation set.

    Each finished example is kept at once. After a crash, the same call continues from there.

    Args:
        options: the dataset, the method's name and the set to write.
        method: the options of the annotator that `options.method` names, such as `NerOptions`. Default: its defaults.

    Returns:
        The counts and the saved set. The set includes failed examples; `Report.check` raises an error for them.

    Raises:
        UsageError: for options that contradict each other, or for a dry run or batch step that writes no set.
        InputError: for a dataset that cannot be read.
        MissingError: for a package or model that is not installed.
        StoreError: if the set cannot be saved.
        ServerError: if the judge's server cannot answer.
    """
    if isinstance(method, JudgeOptions) and (method.dry_run or method.batch in ("submit", "status")):
        where = "--dry-run" if method.dry_run else "--batch"
        raise UsageError("writes no annotation set", where=where, hint="Call tif.annotate.request.answer instead.")
    report = answer(options, method)
    assert isinstance(report, Report)
    return report


def answer(
    options: AnnotateOptions, method: Options | None = None
) -> Report | Estimate | tuple[SentBatch, ...] | tuple[BatchStatus, ...]:
    """Annotate a dataset as `annotate` does, or run a step that saves no set: a dry run, or `submit` or `status`.

    Returns:
        A report of the saved set; for a dry run, the estimate; for `batch="submit"`, the batches that were sent; for
        `batch="status"`, the progress of each batch.

    Raises:
        TifError: as `annotate`.
    """
    method = _checked(options, method)
    policy = read_policy(options.entities_policy) if options.entities_policy is not None else None
    source = sources.load(
        options.dataset,
        data_dir=options.data_dir,
        prompt_field=options.prompt_field,
        text_field=options.text_field,
        encoding=options.encoding,
        limit=options.limit,
    )
    out = options.out or Path("annotations", f"{sources.default_name(options.dataset)}.parquet")
    folder = store.folder(out)
    workspace = Workspace(source=source, folder=folder, fresh=options.fresh, encoding=options.encoding)
    annotator = make(options.method, method, workspace)
    if options.engine == "ray":
        from tif.annotate.ray import RayAnnotator

        annotator = RayAnnotator(annotator, options.method, method, workers=options.workers)
    if isinstance(method, JudgeOptions) and method.dry_run:
        from tif.annotate.judge.estimate import estimate

        return estimate(cast("LlmAnnotator", annotator), source.examples)
    fetched = False
    if isinstance(method, JudgeOptions) and method.batch is not None:
        from tif.annotate.judge.batch import JudgeBatches

        batches = JudgeBatches(cast("LlmAnnotator", annotator), folder / "judge-batches")
        if method.batch == "submit":
            return batches.submit(source.examples)
        if method.batch == "status":
            return batches.status()
        batches.fetch()
        annotator, fetched = batches.answering(), True
    return run(
        source,
        annotator,
        out,
        retry_failed=options.retry_failed,
        # A second submit repeats the requests that failed in a batch. So fetching may now bring their replies.
        renew_failed=fetched,
        fresh=options.fresh,
        force=options.force,
        policy=policy,
        message=options.message,
        author=options.author,
    )


def _checked(options: AnnotateOptions, method: Options | None) -> Options:
    """Return the method's options. Refuse options of another method, and options without effect."""
    cls = METHODS.options(options.method)
    method = cls() if method is None else method
    if not isinstance(method, cls):
        why = f"it takes {cls.__name__}"
        raise UsageError(f"--method {options.method} does not take {type(method).__name__}", why=why)
    options.refuse_idle(method)
    method.refuse_idle(options)
    return method


__all__ = ["annotate", "answer"]
