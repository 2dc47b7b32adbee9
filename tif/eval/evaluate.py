"""`tif eval`: evaluate a model, read another project's log, or make a retain model first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tif.console import say
from tif.errors import InputError, UsageError, WriteError
from tif.eval import data
from tif.eval.benchmarks import membership
from tif.eval.compare import logs, retain
from tif.eval.compare.logs import LogNumbers
from tif.eval.full import Full, announce, check_models, full_of
from tif.eval.options import EvaluateOptions
from tif.eval.record import EVAL_FILE
from tif.eval.run import Evaluated, evaluate_model
from tif.seal import read_once


@read_once()
def evaluate(options: EvaluateOptions) -> Evaluated | LogNumbers:
    """Evaluate the model, read a log, or make and evaluate a retain model, as the options ask.

    Returns:
        With `import_log`, the numbers of the log. With `make_retain_log` and no model, the retain model's evaluation.
        Otherwise the model's evaluation; with `full`, also those after attacks.

    Raises:
        TifError: if the model, the data, the annotation set or a log cannot be used.
    """
    if options.import_log is not None:
        return logs.import_log(options.import_log, options.retain_log, force=options.force)
    full = full_of(data.resolve(options))
    check_models(full)
    options = full.options
    log = options.retain_log
    if options.make_retain_log:
        retained = retain.make(options)
        log = str(retained.out / EVAL_FILE)
        say(f"wrote {log}")
        if options.model is None:
            return retained
        inference = membership.possible(options)
        options = options.plain(options.model, out=options.out, retain_log=log, inference=inference)
        full = replace(full, options=options)
    result = evaluate_model(options, full)
    return replace(result, attacked=tuple(_after_attacks(full, log)))


def _after_attacks(full: Full, retain_log: str | None) -> Iterator[Evaluated]:
    """Evaluate after each attack of `--full`. Leave out an attack that is not possible on this model or data."""
    for options in full.after_attacks(retain_log):
        try:
            yield evaluate_model(options)
        except (InputError, UsageError) as error:
            if isinstance(error, WriteError):
                raise
            announce({str(options.attack): str(error)})


__all__ = ["evaluate"]
