"""`tif eval`: evaluate a model, read another project's log, or make a retain model first."""

from __future__ import annotations

from tif.console import say
from tif.eval import data
from tif.eval.benchmarks import membership
from tif.eval.compare import logs, retain
from tif.eval.compare.logs import LogNumbers
from tif.eval.options import EvaluateOptions
from tif.eval.record import EVAL_FILE
from tif.eval.run import Evaluated, evaluate_model


def evaluate(options: EvaluateOptions) -> Evaluated | LogNumbers:
    """Evaluate the model, read a log, or make and evaluate a retain model, as the options ask.

    Returns:
        With `import_log`, the numbers of the log. With `make_retain_log` and no model, the retain model's evaluation.
        Otherwise the model's evaluation.

    Raises:
        TifError: if the model, the data, the annotation set or a log cannot be used.
    """
    if options.import_log is not None:
        return logs.import_log(options.import_log, options.retain_log, force=options.force)
    options = data.resolve(options)
    log = options.retain_log
    if options.make_retain_log:
        retained = retain.make(options)
        log = str(retained.out / EVAL_FILE)
        say(f"wrote {log}")
        if options.model is None:
            return retained
        inference = membership.possible(options)
        options = options.plain(options.model, out=options.out, retain_log=log, inference=inference)
    return evaluate_model(options)


__all__ = ["evaluate"]
