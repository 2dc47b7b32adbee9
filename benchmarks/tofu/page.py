"""Write `results.json`, `results.md` and two plots from the finished stages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from benchmarks.figure import save
from benchmarks.tofu.claims import over_seeds
from benchmarks.tofu.plan import RETAIN_WEIGHT, Experiment
from benchmarks.tofu.results import COLUMNS, STEADY, UNSTEADY, Cell, by_seed, collect, steady_utility
from tif import files
from tif.eval.report.figures import MARKERS, PALETTE

NEAR: Final = (34.0, 12.0)
"""Distance in pixels, across and up, below which the numbers of two points would overlap."""
TRAJECTORIES: Final = (
    "anchored",
    "anchored-random",
    "tpo",
    "anchored-frames",
    "npo",
    "npo-retain",
    "logprob",
    "bounded",
)
"""Rows whose steps are drawn, one for each colour."""


def write(e: Experiment, docs: Path, command: str) -> dict[str, Any]:
    """Write `results.md`, `results.json` and the plots from the finished stages, and return the record."""
    record = {"command": command, **collect(e)}
    blob = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    files.write(docs / "results.json", blob)
    files.write(docs / "results.md", text(record))
    runs = record["runs"]
    if len(runs) > 1:
        _pareto(runs, docs / "results.png")
    if drawn := _drawn(runs):
        _trajectory(drawn, docs / "trajectory.png")
    return record


def text(record: Mapping[str, Any]) -> str:
    """Return `results.md` for the record of `results.collect` and the command that wrote it."""
    plan, runs, missing = record["plan"], record["runs"], record["missing"]
    total = len(missing) + len(record["done"])
    several = len(plan["seeds"]) > 1
    lines = [
        "# Results",
        "",
        "This command writes the page from its finished stages. Nobody edits it by hand.",
        "",
        f"```console\n{record['command']}\n```",
        "",
        f"Scale `{plan['name']}`, {_count(plan['seeds'], 'seed')}, {len(record['done'])} of {total} stages finished.",
        "",
        "The command does not repeat a row that `results.json` has. This holds on another machine, too, if the models "
        "that the row starts from are the same there to the bit. To start from nothing, delete the file.",
        "",
        f"- **Target**: the starting model. It is the base model, fine-tuned on {plan['forget_rows']} rows of "
        f"{plan['forget']}, on {plan['dev_rows']} of forget05's other authors, and on {plan['retain_rows']} of retain "
        "authors" + (f", with the rest of {plan['rest']}" if plan["rest"] else "") + ".",
        "- **Retain-only**: the retain model, fine-tuned on the same rows without the forget rows. Unlearning should "
        "end where this model is. So its UW and GW are the goal, not zero.",
        f"- **Schedule**, fixed beforehand: {plan['epochs']:g} epochs, batch {plan['batch']}, linear decay. The model "
        f"after the last step is measured. Retain terms have weight {RETAIN_WEIGHT:g}. A row's name shows where it "
        "differs. All other settings are the objectives' defaults.",
        *_frames(runs),
        *_rates(plan),
        f"- **Measured** on the rows of {plan['forget']} and on {plan['measured_rows']} rows of retain authors. Model "
        f"utility also uses the first {plan['utility_rows']} rows of real authors and of world facts each. UW "
        "(unwanted words) and GW (general words) follow the gold spans, whatever spans a row was trained on. The "
        "measured retain rows are part of the retain term's rows, as in TOFU.",
        "- **Intervals** are 95% bootstrap percentiles over rows. They do not cover other seeds or other authors. "
        "Forget quality is a p-value. With so few rows, its resampled values spread widely.",
        "- **Arithmetic**: float32"
        + (", with bfloat16 autocast in training." if record["environment"]["autocast"] else "."),
        "- **FQ relearned**: forget quality after one epoch on the forget rows (2e-5, batches of 32).",
        *_steadiness(runs),
        "",
    ]
    if not runs:
        lines += ["No row is measured yet.", ""]
    elif several:
        lines += [*_over_seeds(runs), "## Each run", "", *_table(runs)]
    else:
        lines += _table(runs)
    if len(runs) > 1:
        lines += ["![Forget quality against model utility, every run](results.png)", ""]
    if _drawn(runs):
        lines += [
            "The plot shows the probability of the forget rows' words during unlearning, computed on the batch of each "
            "step. It had no part in any choice.",
            "",
            "![UW and GW probability by step](trajectory.png)",
            "",
        ]
    chosen = {name: choice for name, choice in record["choices"].items() if choice["rate"]}
    if chosen:
        lines += ["## Learning rates", "", "| row | chosen | score of each |", "|---|---|---|"]
        lines += [
            f"| {name} | {c['rate']:g} | " + ", ".join(f"{r}: {s:.3f}" for r, s in c["scores"].items()) + " |"
            for name, c in chosen.items()
        ]
        lines.append("")
    if record["spans"]:
        lines += ["## Spans", "", "| world and kind | spans | words | characters |", "|---|---|---|---|"]
        lines += [
            f"| {name} | {c['spans']} | {c['words']} | {c['characters']} |"
            for name, c in record["spans"].items()
            if isinstance(c, dict)
        ]
        lines.append("")
    lines += _claims(runs, complete=not plan.get("rows"))
    lines += ["## What is not shown", ""]
    lines += [
        f"- Another base model, another target, or all of TOFU. This is {_count(plan['seeds'], 'seed')} of one small "
        "setting. A difference inside the intervals does not count as a difference.",
        "- Retain rows outside the retain term.",
    ]
    if missing:
        absent = f" No row yet for: {'; '.join(record['absent'])}." if record["absent"] else ""
        lines += [
            f"- {len(missing)} of {total} stages are not finished; `results.json` names them. The same command "
            f"continues.{absent}"
        ]
    return "\n".join(lines) + "\n"


def _rates(plan: Mapping[str, Any]) -> list[str]:
    if len(plan["rates"]) == 1:
        return [
            f"- **Learning rate**: {plan['rates'][0]:g}. Scale `seeds` chose it for each of these rows, on the first "
            f"{plan['dev_rows']} rows of forget05. The authors of those rows are not forgotten here."
        ]
    return [
        "- **Learning rate**: the better of two, chosen with other authors. The trial forgets the first "
        f"{plan['dev_rows']} rows of forget05. Its retain probability is that of retain authors who are not measured "
        "below. The rate with the highest min(forget quality, retain probability / the target's) wins. A row without "
        "its own trial takes the rate of the row that it varies."
    ]


def _steadiness(runs: Mapping[str, Any]) -> list[str]:
    if "target" not in runs:
        return []
    own = runs["target"]["utility_parts"][UNSTEADY]
    return [
        f"- **{STEADY.capitalize()}**: model utility without ROUGE-L on real authors. The target itself has {own:.2f} "
        "there. A harmonic mean is as unsteady as its smallest part, so this part decides model utility."
    ]


def _frames(runs: Mapping[str, Any]) -> list[str]:
    framed = [run["options"] for run in runs.values() if run.get("options", {}).get("frames")]
    if not framed:
        return []
    shown = ", ".join(f"`{frame}`" for frame in framed[0]["frames"])
    return [
        "- **In frames**: each forget row is unlearned once more, with only its unwanted words as the answer "
        f"({shown}, in turn), for {framed[0]['epochs']:g} epochs of the doubled set."
    ]


def _count(things: Sequence[Any], noun: str) -> str:
    return f"{len(things)} {noun}" + ("" if len(things) == 1 else "s")


def _claims(runs: Mapping[str, Any], *, complete: bool) -> list[str]:
    """Return the table of claims. Where the plan is not complete, leave out claims about rows that it does not have."""
    seeds = by_seed(runs) or {0: runs}
    rows = [claim for claim in over_seeds(list(seeds.values())) if complete or claim.verdict != "not measured"]
    return [
        "## What is shown",
        "",
        "A comparison is *shown* if the two 95% intervals are apart in the claimed direction. It is *contradicted* if "
        "they are apart in the other direction, and *not resolved* if they overlap. For a goal, only the figure "
        "counts: *shown* means reached.",
        *(["Each seed is judged separately."] if len(seeds) > 1 else []),
        "",
        "| claim | figures | |",
        "|---|---|---|",
        *(f"| {claim.text} | {claim.figures} | {claim.verdict} |" for claim in rows),
        "",
    ]


def _over_seeds(runs: Mapping[str, Any]) -> list[str]:
    """Return the table with a row a method: the mean, the lowest and the highest value over its seeds."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for name, run in runs.items():
        rows.setdefault(Experiment.row_name(name), []).append(run)
    lines = [
        "Each cell is the mean over seeds, with the lowest and the highest value in brackets. All seeds start from the "
        "same target. A seed decides the order of the samples.",
        "",
        f"| row | seeds | {' | '.join(COLUMNS)} | {STEADY} |",
        "|---" * (len(COLUMNS) + 3) + "|",
    ]
    for group in rows.values():
        cells = []
        for name in COLUMNS:
            values = [run["cells"][name][0] for run in group if run["cells"][name] is not None]
            cells.append(_shown((fmean(values), min(values), max(values)) if values else None))
        values = [steady_utility(run) for run in group]
        cells.append(_shown((fmean(values), min(values), max(values))))
        lines.append(f"| {group[0]['label']} | {len(group) if 'seed' in group[0] else ''} | {' | '.join(cells)} |")
    return [*lines, ""]


def _name(run: Mapping[str, Any], runs: Mapping[str, Any]) -> str:
    """Return a run's label, with its seed if the record has several seeds."""
    several = len({run["seed"] for run in runs.values() if "seed" in run}) > 1
    return f"{run['label']}, seed {run['seed']}" if several and "seed" in run else str(run["label"])


def _table(runs: Mapping[str, Any]) -> list[str]:
    lines = [f"| row | lr | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 2) + "|"]
    for run in runs.values():
        cells = [_shown(run["cells"][name]) for name in COLUMNS]
        lines.append(f"| {_name(run, runs)} | {format(run['lr'], 'g') if 'lr' in run else ''} | {' | '.join(cells)} |")
    lines += ["", "Parts of model utility:", ""]
    names = list(next(iter(runs.values()))["utility_parts"])
    heads = [*(name.replace("_", " ") for name in names), STEADY]
    lines += [f"| row | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for run in runs.values():
        values = [*(run["utility_parts"][name] for name in names), steady_utility(run)]
        lines.append(f"| {_name(run, runs)} | " + " | ".join(f"{value:.3f}" for value in values) + " |")
    return [*lines, ""]


def _shown(cell: Cell | None) -> str:
    if cell is None:
        return "–"
    value, low, high = cell
    form = ".1e" if value < 0.001 else ".3f"
    return f"{value:{form}} ({low:.2g}–{high:.2g})"


def _pareto(runs: Mapping[str, Any], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=(14, max(5.5, 0.19 * len({Experiment.row_name(name) for name in runs}))), layout="constrained"
    )
    both = figure.subplots(1, 2, sharey=True)
    utilities = (("model utility", lambda run: run["cells"]["utility"][0]), (f"model {STEADY}", steady_utility))
    drawn = [(axes, _points(axes, runs, utility)) for axes, (_, utility) in zip(both, utilities, strict=True)]
    for axes, (title, _) in zip(both, utilities, strict=True):
        axes.axhline(0.05, color="grey", linewidth=0.8)
        axes.set_xlabel(title)
    both[0].annotate("below 0.05: a test can tell it from the retain-only model", (0.01, 0.05), (0, -4), va="top",
                     fontsize=8, xycoords=("axes fraction", "data"), textcoords="offset points",
                     color="dimgrey")  # fmt: skip
    both[0].set_yscale("log")
    both[0].set_ylabel("forget quality (p-value)")
    figure.legend(*both[0].get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=8)
    figure.draw_without_rendering()
    for axes, points in drawn:
        for x, y, text_ in _labels(points, axes.transData.transform([point[:2] for point in points])):
            axes.annotate(text_, (x, y), (5, 5), textcoords="offset points", fontsize=7)
    save(figure, path)


def _points(
    axes: Any, runs: Mapping[str, Any], utility: Callable[[Mapping[str, Any]], float]
) -> list[tuple[float, float, int]]:
    """Draw every run, and return the place and the row number of each."""
    numbers: dict[str, int] = {}
    points: list[tuple[float, float, int]] = []
    for name, run in runs.items():
        row = Experiment.row_name(name)
        first, number = row not in numbers, numbers.setdefault(row, len(numbers))
        x, y = utility(run), max(run["cells"]["forget quality"][0], 1e-30)
        # There are 64 different pairs of colour and marker.
        axes.plot(
            x, y, MARKERS[(number + number // 8) % 8], color=PALETTE[number % 8], markersize=9, markeredgecolor="black",
            linestyle="none", label=f"{number + 1}  {run['label']}" if first else None,
        )  # fmt: skip
        points.append((x, y, number + 1))
    return points


def _labels(
    points: Sequence[tuple[float, float, int]], places: Sequence[Sequence[float]]
) -> list[tuple[float, float, str]]:
    """Return the place and text of each label. Points that overlap, by their places in pixels, share a label."""
    groups: list[tuple[int, list[int]]] = []
    for n, point in enumerate(points):
        away = ([abs(a - b) for a, b in zip(places[first], places[n], strict=True)] for first, _ in groups)
        near = (g for (_, g), (x, y) in zip(groups, away, strict=True) if x < NEAR[0] and y < NEAR[1])
        group = next(near, None)
        if group is None:
            groups.append((n, [point[2]]))
        elif point[2] not in group:
            group.append(point[2])
    return [(points[first][0], points[first][1], ", ".join(map(str, numbers))) for first, numbers in groups]


def _drawn(runs: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the runs of `TRAJECTORIES` that the record has, of the first seed."""
    first: dict[str, Mapping[str, Any]] = {}
    for name, run in runs.items():
        first.setdefault(Experiment.row_name(name), run)
    return [first[name] for name in TRAJECTORIES if "log" in first.get(name, {})]


def _trajectory(runs: Sequence[Mapping[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    for axes, column in zip(figure.subplots(1, 2, sharey=True), ("uw_probability", "gw_probability"), strict=True):
        for number, run in enumerate(runs):
            line = [(x["step"], x[column]) for x in run["log"] if column in x]
            axes.plot(
                [x for x, _ in line], [y for _, y in line], color=PALETTE[number % 8], marker=MARKERS[number % 8],
                markevery=0.2, markersize=4, label=run["label"] if column == "uw_probability" else None,
            )  # fmt: skip
        axes.set_title("unwanted words" if column == "uw_probability" else "general words", fontsize=10)
        axes.set_xlabel("step")
        axes.set_ylim(0, 1.02)
        axes.label_outer()
        if column == "uw_probability":
            axes.set_ylabel("mean probability of a token")
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    save(figure, path)


__all__ = ["text", "write"]
