"""The marks of a MUSE evaluation, which has complete texts and no marked phrases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tif.eval.record import EvalRecord, Means
from tif.eval.report.evaluations import Evaluations
from tif.eval.report.mark import AS_NEVER, KEEP, Mark, keep_rule, kept

_METRIC: Final = "rougeL_f1"


def muse_marks(evaluations: Evaluations) -> Iterator[Mark]:
    """Yield the marks of the report's first model: VerbMem, KnowMem on both sides, and PrivLeak."""
    focus, before, never = evaluations.focus, evaluations.before, evaluations.never_saw
    records = [
        each.record if each and (each is not focus or i == 0) else None for i, each in enumerate((focus, before, never))
    ]
    for name, field in (
        ("text continued word by word (VerbMem)", "verbmem_forget"),
        ("answers about the texts to forget (KnowMem)", "knowmem_forget"),
    ):
        own, start, most = (_level(record, field) for record in records)
        if own is None:
            yield Mark(name=name, outcome="not measured", rule="the evaluation has no such number")
        elif most is None:
            rule = "no mark: no model that never saw them is here"
            yield Mark(name=name, outcome="no mark", result=_shown(own), before=_shown(start), rule=rule)
        else:
            yield Mark(
                name=name, outcome="passes" if own <= most else "fails", result=_shown(own), before=_shown(start),
                never_saw=_shown(most), rule=f"ROUGE-L at most {most:.3f}: {AS_NEVER}",
            )  # fmt: skip
    own, start, other = (_level(record, "knowmem_retain") for record in records)
    yield Mark(
        name="answers to keep (KnowMem)",
        outcome=kept(own, start),
        result=_shown(own),
        before=_shown(start),
        never_saw=_shown(other),
        rule=keep_rule(None) if start is None else f"ROUGE-L {keep_rule(f'{KEEP * start:.3f}')}",
    )
    privleak = focus.record.muse.privleak if focus.record.muse else None
    if privleak is None:
        reason = focus.record.muse.privleak_reason if focus.record.muse else None
        yield Mark(name="PrivLeak", outcome="not measured", rule=reason or "the evaluation has no such number")
    else:
        side = "forgets too little" if privleak < 0 else "forgets too much"
        rule = "no mark: 0 is best"
        yield Mark(name="PrivLeak", outcome="no mark", result=f"{privleak:+.1f} ({side})", rule=rule)


def _level(record: EvalRecord | None, field: str) -> float | None:
    if record is None or record.muse is None:
        return None
    means: Means = getattr(record.muse, field)
    value = means.get(_METRIC)
    return None if value is None else float(value)


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


__all__ = ["muse_marks"]
