"""The report's HTML: sections in the order in which somebody asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import Any, Final

from tif.eval.record import EvalRecord
from tif.eval.report import figures, heatmap
from tif.eval.report.entry import Entry

SHOWN: Final = 3
"""Examples of each kind (most forgotten, least forgotten, most damaged)."""

CSS: Final = """
:root { color-scheme: light dark; --font: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  --ink: light-dark(#1c2430, #e6e9ee); --soft: light-dark(#566070, #a3adba); --paper: light-dark(#fdfdfb, #14181e);
  --card: light-dark(#f3f4f1, #1c222a); --line: light-dark(#d8dbd6, #343c47);
  --heat: light-dark(#f2a024, #f0a030); --unwanted: light-dark(#0060a8, #67b7f5); }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 2.2rem 1.4rem 5rem; font: 16px/1.55 var(--font);
  color: var(--ink); background: var(--paper); }
h1 { font-size: 1.85rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; }
h2 { font-size: 1.25rem; margin: 2.8rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .4rem; }
p { max-width: 46rem; } .soft { color: var(--soft); } p.q { margin: .1rem 0 .4rem; max-width: none; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .93rem; }
th, td { text-align: left; padding: .45rem .7rem .45rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.n small { display: block; color: var(--soft); font-size: .8em; } thead th { font-size: .85rem; color: var(--soft); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(29rem, 100%), 1fr)); gap: 1.2rem; }
figure { margin: 0; background: var(--card); border-radius: 10px; padding: 1rem; break-inside: avoid; }
figure svg { width: 100%; height: auto; display: block; } figcaption { color: var(--soft); font-size: .88rem; }
.card { background: var(--card); border-radius: 10px; padding: .8rem 1rem; margin: 0 0 .9rem; break-inside: avoid; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1.2rem; margin: 0; font-size: .92rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; } code { font-size: .92em; }
@media print { :root { color-scheme: light; } body { max-width: none; padding: 0; font-size: 11pt; }
  table { font-size: 8.5pt; } th, td { padding-right: .3rem; } thead th.n { white-space: normal; }
  .scroll { overflow: visible; } * { -webkit-print-color-adjust: exact; print-color-adjust: exact; } }
"""

WHAT: Final = {
    "UW probability": "of unwanted words in the forget set: should fall to what a model has that never saw them",
    "GW probability": "of all other words there: should stay",
    "retain probability": "of answers that were to be kept",
    "retain ROUGE-L": "recall of the right answer in what the model says",
    "model utility": "harmonic mean of nine numbers on retain, real authors and world facts",
    "forget quality": "p-value: can the truth ratios be told from a retain model's?",
    "over-forgetting": "drop on GW / drop on UW: 0 is forgetting without damage",
}


def page(
    entries: Sequence[Entry],
    before: Entry | None,
    headline: Sequence[Mapping[str, Any]],
    seeds: Sequence[Mapping[str, Any]],
    *,
    title: str,
    intro: str,
    extra: Sequence[tuple[str, str]],
) -> str:
    """The whole page, of named entries (`write.compose`), their headline (`summarise`), and `over_seeds`."""
    sections = [("Headline", _headline(headline)), ("Over training seeds", _seeds(seeds))]
    sections += [("Plots", _plots(entries, before))]
    sections += [("Token by token", _heat(entries, before)), ("In the models' own words", _said(entries, before))]
    sections += list(extra) + [("Audit", "".join(_audit(entry) for entry in entries))]
    body = "".join(f"<section><h2>{escape(name)}</h2>{inner}</section>" for name, inner in sections if inner)
    lead = f'<p class="soft">{escape(intro)}</p>' if intro else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}{heatmap.CSS}</style></head>"
        f"<body><h1>{escape(title)}</h1>{lead}{body}</body></html>\n"
    )


def _what(name: str) -> str:
    return WHAT.get(name, "as lm-evaluation-harness measures it")


def _headline(rows: Sequence[Mapping[str, Any]]) -> str:
    names = [name for name in rows[0] if name != "label" and any(row[name] is not None for row in rows)]
    head = "".join(f'<th class="n" scope="col" title="{escape(_what(name))}">{escape(name)}</th>' for name in names)
    body = ""
    for row in rows:
        cells = "".join(f'<td class="n">{_cell(row[name])}</td>' for name in names)
        body += f'<tr><th scope="row">{escape(row["label"])}</th>{cells}</tr>'
    key = "".join(f"<dt>{escape(name)}</dt><dd>{escape(_what(name))}</dd>" for name in names)
    return (
        f'<div class="scroll"><table><thead><tr><th scope="col">model</th>{head}</tr></thead><tbody>{body}</tbody>'
        f'</table></div><p class="soft">Small print: 95% intervals over examples.</p><dl>{key}</dl>'
    )


def _seeds(groups: Sequence[Mapping[str, Any]]) -> str:
    if not groups:
        return ""
    names = [n for n in groups[0] if n not in ("runs", "seeds") and any(group.get(n) is not None for group in groups)]
    head = "".join(f'<th class="n" scope="col">{escape(name)}</th>' for name in names)
    body = ""
    for group in groups:
        cells = "".join(f'<td class="n">{_cell(group[name])}</td>' for name in names)
        body += f'<tr><th scope="row">{escape(", ".join(group["runs"]))}</th>{cells}</tr>'
    return (
        f'<div class="scroll"><table><thead><tr><th scope="col">runs</th>{head}</tr></thead><tbody>{body}</tbody>'
        '</table></div><p class="soft">Runs that differ in nothing but their seed. Small print: the standard deviation '
        "over them.</p>"
    )


def _cell(value: Any) -> str:
    if value is None:
        return '<span class="soft">–</span>'
    if isinstance(value, Mapping) and "sd" in value:
        return f"{value['mean']:.3g}<small>± {value['sd']:.2g}</small>"
    if isinstance(value, Mapping):
        return f"{value['mean']:.3f}<small>{value['low']:.3f} – {value['high']:.3f}</small>"
    return f"{value:.3g}"


def _plots(entries: Sequence[Entry], before: Entry | None) -> str:
    found = []
    groups: dict[str, dict[str, tuple[float, float, float] | None]] = {}
    for entry in entries:
        groups[entry.label] = {
            "unwanted words (UW)": entry.mean("forget", "uw_probability"),
            "general words (GW)": entry.mean("forget", "gw_probability"),
            "retain set": entry.mean("retain", "probability"),
        }
    if any(value for group in groups.values() for value in group.values()):
        wide = ' style="grid-column:1/-1"' if len(entries) > 3 else ""
        found.append(
            f"<figure{wide}>{figures.bars(groups, 'probability')}<figcaption>Forgetting is a low first bar; damage is "
            "what the other two have lost.</figcaption></figure>"
        )
    plots = [_pareto(entries), _drops(entries, before), _truth(entries), *_loss(entries)]
    found += [_figure(svg, caption) for svg, caption in plots if svg]
    return f'<div class="figures">{"".join(found)}</div>' if found else ""


def _pareto(entries: Sequence[Entry]) -> tuple[str, str]:
    order = [entry.label for entry in entries]
    by_utility: dict[str, tuple[float, float]] = {}
    by_retain: dict[str, tuple[float, float]] = {}
    for entry in entries:
        quality, utility, kept = (
            entry.record.forget_quality, entry.record.model_utility, entry.mean("retain", "probability"),
        )  # fmt: skip
        if quality is not None and utility is not None:
            by_utility[entry.label] = (utility, quality)
        if quality is not None and kept is not None:
            by_retain[entry.label] = (kept[0], quality)
    if by_utility:
        return figures.pareto(by_utility, "model utility", "forget quality (p)", log=True, order=order), (
            "Forget quality against model utility. Up and to the right is better; dashed: no run beats these on both."
        )
    if not by_retain:
        return "", ""
    return figures.pareto(by_retain, "retain probability", "forget quality (p)", log=True, order=order), (
        "Forget quality against retain probability (this data gives no model utility). Up and to the right is better."
    )


def _drops(entries: Sequence[Entry], before: Entry | None) -> tuple[str, str]:
    points: dict[str, tuple[float, float]] = {}
    for entry in entries:
        if before is not None and entry is not before:
            pairs = [[e.mean("forget", f"{kind}_probability") for e in (before, entry)] for kind in ("uw", "gw")]
            known = [start[0] - end[0] for start, end in pairs if start and end]
            if len(known) == 2:
                points[entry.label] = (known[0], known[1])
    if not points:
        return "", ""
    return figures.drops(points, order=[e.label for e in entries]), (
        "What forgetting cost: the drop in probability of GW against that of UW. Down and to the right is better."
    )


def _truth(entries: Sequence[Entry]) -> tuple[str, str]:
    samples: dict[str, list[float]] = {}
    for entry in entries:
        values = [r["truth_ratio"] for r in entry.examples.get("forget", ()) if r["truth_ratio"] is not None]
        if values:
            samples[entry.label] = values
    for entry in entries:
        log = list(entry.record.retain_truth_ratio)
        if log and log not in samples.values():  # the retain model may be among what is reported
            samples["retain model (log)"] = log
    if not samples:
        return "", ""
    return figures.distributions(samples, "truth ratio, p(wrong) / p(right)", order=[e.label for e in entries]), (
        "Truth ratios on the forget set. Forget quality asks whether a curve can be told from the retain model's."
    )


def _loss(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    found = []
    for key, what in (("loss", "training loss"), ("uw_probability", "UW probability while training")):
        lines = {}
        for entry in entries:
            known = [(r["step"], r[key]) for r in entry.history if key in r and "step" in r]
            if len(known) > 1:
                lines[entry.label] = ([x for x, _ in known], [y for _, y in known])
        if lines:
            found.append(
                (
                    figures.curves(lines, "step", what, order=[e.label for e in entries]),
                    f"{what[0].upper()}{what[1:]}, as logged by the run.",
                )
            )
    return found


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def chosen(entries: Sequence[Entry], before: Entry | None) -> dict[str, list[str]]:
    """Ids of the forget examples that one would ask about, by what they show.

    Of the first entry that is not `before`: where UW fell most, where it fell least, where GW fell most; without a
    model before, by the level itself.
    """
    focus = next((e for e in entries if e is not before), entries[0])
    known = {row["id"]: row for row in before.examples.get("forget", ())} if before and before is not focus else {}
    drops = {}
    for row in focus.examples.get("forget", ()):
        if row["uw_probability"] is None or row["gw_probability"] is None:
            continue
        start = known.get(row["id"], {"uw_probability": 1.0, "gw_probability": 1.0})
        if start["uw_probability"] is not None and start["gw_probability"] is not None:
            drops[row["id"]] = [start[k] - row[k] for k in ("uw_probability", "gw_probability")]
    found: dict[str, list[str]] = {}
    seen: set[str] = set()
    for name, column, sign in (("Most forgotten", 0, -1), ("Least forgotten", 0, 1), ("Most damaged", 1, -1)):
        order = sorted(drops, key=lambda id_: (sign * drops[id_][column], id_))
        found[name] = [id_ for id_ in order if id_ not in seen][:SHOWN]
        seen |= set(found[name])
    return {name: ids for name, ids in found.items() if ids}


def _heat(entries: Sequence[Entry], before: Entry | None) -> str:
    groups = chosen(entries, before)
    if not groups:
        return ""
    ordered = ([before] if before else []) + [e for e in entries if e is not before]
    focus = next((e for e in entries if e is not before), entries[0])
    asked = {row["id"]: row for row in focus.examples["forget"]}
    parts = [heatmap.KEY]
    for name, ids in groups.items():
        parts.append(f"<h3>{escape(name)} <span class='soft'>by {escape(focus.label)}</span></h3>")
        for id_ in ids:
            row = asked[id_]
            versions = {e.label: e.scores[id_] for e in ordered if id_ in e.scores}
            parts.append(
                f'<div class="card"><p class="q soft" dir="auto">{escape(row["question"])}</p>'
                f"{heatmap.rows(row['answer'], versions)}</div>"
            )
    return "".join(parts)


def _said(entries: Sequence[Entry], before: Entry | None) -> str:
    groups = chosen(entries, before)
    ids = [ids[0] for ids in groups.values()]
    retain = next((e.examples["retain"] for e in entries if e.examples.get("retain")), ())
    wanted = [("forget", id_) for id_ in ids] + [("retain", row["id"]) for row in retain[:2]]
    cards = []
    for part, id_ in wanted:
        lines, asked = "", None
        for entry in entries:
            row = next((r for r in entry.examples.get(part, ()) if r["id"] == id_), None)
            if row is not None and row["completion"] is not None:
                asked = row
                lines += f"<dt>{escape(entry.label)}</dt><dd dir='auto'>{escape(row['completion']) or '(nothing)'}</dd>"
        if asked is not None:
            cards.append(
                f'<div class="card"><p class="q"><b>{part}</b> <span dir="auto">{escape(asked["question"])}</span></p>'
                f"<dl><dt>right answer</dt><dd dir='auto'>{escape(asked['answer'])}</dd>{lines}</dl></div>"
            )
    return "".join(cards)


def _audit(entry: Entry) -> str:
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
        "forced": record.forget_quality_forced or "",
        "not known": "; ".join(f"{name}: {reason}" for name, reason in record.reasons.items()),
        "evaluated": _evaluated(record),
        "trained with": ", ".join(f"{name} {version}" for name, version in run.libraries.items()) if run else "",
        "code": (run.code_sha256 or "") if run else "",
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


def _values(facts: Mapping[str, object]) -> str:
    return " ".join(f"{name}: {value}" for name, value in facts.items() if isinstance(value, str | int | float))


__all__ = ["chosen", "page"]
