"""The report's audit: what was trained and evaluated, on which data, with which code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from html import escape

from tif.eval.record import EvalRecord
from tif.eval.report.entry import Entry


def audit(entry: Entry) -> str:
    """Model, options, annotation set, data, libraries and code of one evaluation, as a card."""
    record, run = entry.record, entry.run
    facts = {
        "model": f"{record.model.path}  {record.model.digest}" if record.model else "in memory",
        "started from": f"{run.model.path or ''}  {run.model.digest or ''}" if run else "",
        "objective": ", ".join(f"{name} {value}" for name, value in run.main_options().items()) if run else "",
        "annotation set": _annotation_set(record),
        "annotated by": _values(run.provenance.method) if run else "",
        "data": _values(asdict(run.provenance.dataset)) if run else "",
        "samples": ", ".join(f"{name} {count}" for name, count in run.counts.items()) if run else "",
        "benchmark": f"{record.benchmark}, {record.forget}" if record.benchmark else "",
        "retain log": record.retain_log or "",
        "forget quality was forced": record.forget_quality_forced or "",
        "no number for": "; ".join(f"{name}: {reason}" for name, reason in record.reasons.items()),
        "evaluated": _evaluated(record),
        "trained with": ", ".join(f"{name} {version}" for name, version in run.libraries.items()) if run else "",
        "code": (run.code_sha256 or "") if run else "",
        "verified": _verified(entry),
    }
    lines = "".join(f"<dt>{name}</dt><dd>{escape(fact)}</dd>" for name, fact in facts.items() if fact.strip())
    return f'<div class="card"><h3>{escape(entry.label)}</h3><dl>{lines}</dl></div>'


def _annotation_set(record: EvalRecord) -> str:
    if record.masks is not None:
        masks = record.masks
        saved = (f", saved by {masks.author}" if masks.author else "") + (f": {masks.message}" if masks.message else "")
        return f"{masks.ref}, version {masks.version}, digest {masks.digest}{saved}"
    if record.run is not None:
        trained = record.run.masks
        return f"{trained.path}, version {trained.version}, digest {trained.digest}"
    return ""


def _evaluated(record: EvalRecord) -> str:
    shown = f"{record.created} by tif {record.tif}"
    if (settings := record.settings) is None:
        return shown
    end = "scored" if settings.supervise_eos else "left out"
    return f"{shown}, template {settings.template}, end token {end}, truth ratio by {settings.average}"


def _verified(entry: Entry) -> str:
    failed = [check.line() for check in entry.checks if not check.passed]
    if failed:
        return f"no: {'; '.join(failed)}"
    return f"yes: {len(entry.checks)} checks passed" if entry.checks else ""


def _values(facts: Mapping[str, object]) -> str:
    return " ".join(f"{name}: {value}" for name, value in facts.items() if isinstance(value, str | int | float))


__all__ = ["audit"]
