"""The facts under the verdict: what was to be forgotten, who marked it, what a person reviewed, and every limit."""

from __future__ import annotations

from collections.abc import Mapping

from tif.eval.record import EvalRecord
from tif.eval.report.entry import Entry
from tif.eval.report.evaluations import Evaluations
from tif.spans import REVIEWED, Status

_NOT_RECORDED = "not recorded; run `tif eval` again, which keeps the finished parts"


def facts(evaluations: Evaluations) -> dict[str, str]:
    """Return each fact by its name, about the model that the verdict speaks of. Limits are those of all models."""
    focus = evaluations.focus
    record = focus.record
    return {
        "to forget": _to_forget(record),
        "marked by": _marked_by(record),
        "reviewed by a person": _reviewed(record),
        "evaluated on": _sizes(record),
        "limits": _limits(evaluations),
    }


def _to_forget(record: EvalRecord) -> str:
    samples = record.parts.get("forget", {}).get("n")
    counts = record.leakage.get("forget")
    if record.muse is not None:
        return f"the texts of MUSE{f' {record.muse.corpus.capitalize()}' if record.muse.corpus else ''}"
    text = f"{samples:,} samples" if samples else "not recorded"
    if counts is not None:
        text += f" with {counts.phrases:,} phrases to count"
    return f"{text}, from {record.forget}" if record.forget else text


def _marked_by(record: EvalRecord) -> str:
    if record.masks is None and (record.run is None or record.muse is not None):
        return "no annotation set: unwanted and general words are not told apart"
    method = record.masks.method if record.masks else ""
    if not method and record.run is not None:
        own = record.run.provenance.method
        method = ", ".join(str(own[name]) for name in ("name", "model") if own.get(name))
    saved = f"; saved by {record.masks.author}" if record.masks and record.masks.author else ""
    message = f" (“{record.masks.message}”)" if record.masks and record.masks.message else ""
    return f"{f'annotator {method}' if method else 'not recorded'}{saved}{message}"


def _reviewed(record: EvalRecord) -> str:
    if record.masks is None:
        return "no annotation set" if record.run is None or record.muse is not None else _NOT_RECORDED
    if not record.masks.statuses:
        return _NOT_RECORDED
    return reviewed(record.masks.statuses)


def reviewed(statuses: Mapping[Status, int]) -> str:
    """Return how many samples a person reviewed, and with which result."""
    done = {status: statuses[status] for status in REVIEWED if statuses.get(status)}
    total = sum(statuses.values())
    parts = ", ".join(f"{count:,} {status}" for status, count in done.items())
    return f"{sum(done.values()):,} of {total:,} samples{f' ({parts})' if parts else ''}"


def _sizes(record: EvalRecord) -> str:
    if record.muse is not None:
        means = {name: getattr(record.muse, name) for name in ("verbmem_forget", "knowmem_forget", "knowmem_retain")}
        sizes = {name: each["n"] for name, each in means.items() if each.get("n")}
        sizes |= {f"privleak_{part}": count for part, count in record.muse.privleak_texts.items()}
        return ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in sizes.items()) or "not recorded"
    return (
        ", ".join(f"{part.replace('_', ' ')} {means['n']:,}" for part, means in record.parts.items()) or "not recorded"
    )


def _limits(evaluations: Evaluations) -> str:
    """Every `--limit`, of evaluations and runs, by model."""
    found = {entry.label: _limit(entry) for entry in evaluations.entries}
    if len(set(found.values())) == 1:
        return next(iter(found.values()))
    return "; ".join(f"{label}: {text}" for label, text in found.items())


def _limit(entry: Entry) -> str:
    limits = []
    if entry.record.limit is not None:
        limits.append(f"tif eval --limit {entry.record.limit} (the first samples of each part)")
    for name in ("limit", "limit_retain"):
        value = entry.run.config.get(name) if entry.run else None
        if value is not None:
            limits.append(f"tif train --{name.replace('_', '-')} {value}")
    return ", ".join(limits) or "none"


__all__ = ["facts", "reviewed"]
