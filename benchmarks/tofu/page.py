"""`results.json`, `results.md` and two plots, from whatever is finished."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from benchmarks.tofu.claims import over_seeds
from benchmarks.tofu.plan import RETAIN_WEIGHT, Experiment
from benchmarks.tofu.results import COLUMNS, STEADY, UNSTEADY, Cell, by_seed, collect, steady_utility
from tif import files
from tif.eval.report.figures import MARKERS, PALETTE

NEAR: Final = (34.0, 12.0)
"""Pixels across and up between two points below which their numbers would lie on one another."""
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
"""Rows whose steps are drawn: as many as there are colours."""


def write(e: Experiment, docs: Path, command: str) -> dict[str, Any]:
    """`results.md`, `results.json` and the plots, from whatever is finished."""
    found = {"command": command, **collect(e)}
    blob = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    files.write(docs / "results.json", blob)
    files.write(docs / "results.md", text(found))
    runs = found["runs"]
    if len(runs) > 1:
        _pareto(runs, docs / "results.png")
    if drawn := _drawn(runs):
        _trajectory(drawn, docs / "trajectory.png")
    return found


def text(found: Mapping[str, Any]) -> str:
    """`results.md`, of what `results.collect` found and the command that made it."""
    plan, runs, missing = found["plan"], found["runs"], found["missing"]
    total = len(missing) + len(found["done"])
    several = len(plan["seeds"]) > 1
    lines = [
        "# Results",
        "",
        "Written by the command below from its finished stages; not edited by hand.",
        "",
        f"```console\n{found['command']}\n```",
        "",
        f"Scale `{plan['name']}`, {_count(plan['seeds'], 'seed')}, {len(found['done'])} of {total} stages finished.",
        "",
        "Rows of `results.json` are not done again, nor on another machine if the models that they begin from come out "
        "the same there to the bit; delete the file to begin anew.",
        "",
        f"- **Target**: the base model fine-tuned on {plan['forget_rows']} rows of {plan['forget']}, on "
        f"{plan['dev_rows']} of forget05's other authors, and on {plan['retain_rows']} of retain authors"
        + (f", with the rest of {plan['rest']}" if plan["rest"] else "")
        + ". **Retain-only**: the same without the forget rows. It is what unlearning should end at, so its UW and GW "
        "are the goal, not zero.",
        f"- **Schedule**, fixed beforehand: {plan['epochs']:g} epochs, batch {plan['batch']}, linear decay; the last "
        f"step is what is measured. Retain terms weigh {RETAIN_WEIGHT:g}. A row that differs says so; other settings "
        "are the objectives' defaults.",
        *_frames(runs),
        *_rates(plan),
        f"- **Measured** on the rows of {plan['forget']}, on {plan['measured_rows']} rows of retain authors, and "
        f"on the first {plan['utility_rows']} rows of real authors and of world facts each. UW and GW are those of the "
        "gold spans, whatever a row was trained on. Retain rows are among those of the retain term, as in TOFU.",
        "- **Intervals** are 95% bootstrap percentiles over rows: they say nothing about other seeds or other authors. "
        "Forget quality is a p-value: resampled, it spreads widely with so few rows.",
        "- **Arithmetic**: float32, but for "
        + ("bfloat16 autocast in training." if found["environment"]["autocast"] else "nothing."),
        "- **FQ relearned**: forget quality after one epoch on the forget rows (2e-5, batches of 32).",
        *_steadiness(runs),
        "",
    ]
    if not runs:
        lines += ["Nothing is measured yet.", ""]
    elif several:
        lines += [*_over_seeds(runs), "## Each run", "", *_table(runs)]
    else:
        lines += _table(runs)
    if len(runs) > 1:
        lines += ["![Forget quality against model utility, every run](results.png)", ""]
    if _drawn(runs):
        lines += [
            "Probability of the forget rows' words while they are unlearned, as each step's own batch shows it; it had "
            "no part in any choice.",
            "",
            "![UW and GW probability by step](trajectory.png)",
            "",
        ]
    chosen = {name: choice for name, choice in found["choices"].items() if choice["rate"]}
    if chosen:
        lines += ["## Learning rates", "", "| row | chosen | score of each |", "|---|---|---|"]
        lines += [
            f"| {name} | {c['rate']:g} | " + ", ".join(f"{r}: {s:.3f}" for r, s in c["scores"].items()) + " |"
            for name, c in chosen.items()
        ]
        lines.append("")
    if found["spans"]:
        lines += ["## Spans", "", "| world and kind | spans | words | characters |", "|---|---|---|---|"]
        lines += [
            f"| {name} | {c['spans']} | {c['words']} | {c['characters']} |"
            for name, c in found["spans"].items()
            if isinstance(c, dict)
        ]
        lines.append("")
    lines += _claims(runs, whole=not plan.get("rows"))
    lines += ["## What is not shown", ""]
    lines += [
        f"- Another base model, another target, the whole of TOFU: this is {_count(plan['seeds'], 'seed')} of one "
        "small setting. Differences inside the intervals are no differences.",
        "- Retain rows outside the retain term.",
    ]
    if missing:
        absent = f" No row yet for: {'; '.join(found['absent'])}." if found["absent"] else ""
        lines += [
            f"- {len(missing)} of {total} stages are not finished; `results.json` names them, and the same command "
            f"goes on.{absent}"
        ]
    return "\n".join(lines) + "\n"


def _rates(plan: Mapping[str, Any]) -> list[str]:
    if len(plan["rates"]) == 1:
        return [
            f"- **Learning rate**: {plan['rates'][0]:g}, which scale `seeds` chose for each of these rows on the first "
            f"{plan['dev_rows']} rows of forget05, whose authors are not forgotten here."
        ]
    return [
        "- **Learning rate**: the better of two, with other authors: the first "
        f"{plan['dev_rows']} rows of forget05 are forgotten, and retain probability is that of retain authors who "
        "are not measured below. The rate with the highest min(forget quality, retain probability / the target's) "
        "wins. Rows without a trial of their own take the rate of the row that they vary."
    ]


def _steadiness(runs: Mapping[str, Any]) -> list[str]:
    if "target" not in runs:
        return []
    own = runs["target"]["utility_parts"][UNSTEADY]
    return [
        f"- **{STEADY.capitalize()}**: model utility without ROUGE-L on real authors. The target itself gets {own:.2f} "
        "there, and a harmonic mean is as unsteady as its smallest part."
    ]


def _frames(runs: Mapping[str, Any]) -> list[str]:
    framed = [run["options"] for run in runs.values() if run.get("options", {}).get("frames")]
    if not framed:
        return []
    shown = ", ".join(f"`{frame}`" for frame in framed[0]["frames"])
    return [
        f"- **In frames**: each forget row is forgotten once more with only its unwanted words as the answer ({shown}, "
        f"in turn), for {framed[0]['epochs']:g} epochs of the doubled set."
    ]


def _count(things: Sequence[Any], what: str) -> str:
    return f"{len(things)} {what}" + ("" if len(things) == 1 else "s")


def _claims(runs: Mapping[str, Any], *, whole: bool) -> list[str]:
    """All claims; those about rows that a plan of some rows does not have are left out."""
    seeds = by_seed(runs) or {0: runs}
    found = [claim for claim in over_seeds(list(seeds.values())) if whole or claim.verdict != "not measured"]
    return [
        "## What is shown",
        "",
        "A comparison is *shown* where the two 95% intervals are apart, *not resolved* where they overlap, and "
        "*contradicted* where they are apart the other way. A goal is reached (*shown*) or not by its figure alone.",
        *(["With several seeds each is judged by itself."] if len(seeds) > 1 else []),
        "",
        "| claim | figures | |",
        "|---|---|---|",
        *(f"| {claim.text} | {claim.figures} | {claim.verdict} |" for claim in found),
        "",
    ]


def _over_seeds(runs: Mapping[str, Any]) -> list[str]:
    """A row a method: the mean over its seeds, and the lowest and the highest of them."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for name, run in runs.items():
        rows.setdefault(Experiment.row_name(name), []).append(run)
    lines = [
        "Means over seeds, and between brackets the lowest and the highest of them. All begin from the same target: a "
        "seed decides the order in which samples are seen.",
        "",
        f"| row | seeds | {' | '.join(COLUMNS)} | {STEADY} |",
        "|---" * (len(COLUMNS) + 3) + "|",
    ]
    for some in rows.values():
        cells = []
        for name in COLUMNS:
            values = [run["cells"][name][0] for run in some if run["cells"][name] is not None]
            cells.append(_shown((fmean(values), min(values), max(values)) if values else None))
        values = [steady_utility(run) for run in some]
        cells.append(_shown((fmean(values), min(values), max(values))))
        lines.append(f"| {some[0]['label']} | {len(some) if 'seed' in some[0] else ''} | {' | '.join(cells)} |")
    return [*lines, ""]


def _name(run: Mapping[str, Any], runs: Mapping[str, Any]) -> str:
    """A run's label, with its seed where there are several."""
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
    both[0].annotate("0.05: told apart from the retain-only model below", (0.01, 0.05), (0, -4), va="top", fontsize=8,
                     xycoords=("axes fraction", "data"), textcoords="offset points", color="dimgrey")  # fmt: skip
    both[0].set_yscale("log")
    both[0].set_ylabel("forget quality (p-value)")
    figure.legend(*both[0].get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=8)
    figure.draw_without_rendering()
    for axes, points in drawn:
        for x, y, text_ in _labels(points, axes.transData.transform([point[:2] for point in points])):
            axes.annotate(text_, (x, y), (5, 5), textcoords="offset points", fontsize=7)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _points(
    axes: Any, runs: Mapping[str, Any], utility: Callable[[Mapping[str, Any]], float]
) -> list[tuple[float, float, int]]:
    """Draw every run; the places, and the number of each one's row."""
    numbers: dict[str, int] = {}
    points: list[tuple[float, float, int]] = []
    for name, run in runs.items():
        row = Experiment.row_name(name)
        first, number = row not in numbers, numbers.setdefault(row, len(numbers))
        x, y = utility(run), max(run["cells"]["forget quality"][0], 1e-30)
        # Sixty-four pairs of colour and marker before one comes back.
        axes.plot(
            x, y, MARKERS[(number + number // 8) % 8], color=PALETTE[number % 8], markersize=9, markeredgecolor="black",
            linestyle="none", label=f"{number + 1}  {run['label']}" if first else None,
        )  # fmt: skip
        points.append((x, y, number + 1))
    return points


def _labels(
    points: Sequence[tuple[float, float, int]], places: Sequence[Sequence[float]]
) -> list[tuple[float, float, str]]:
    """Where to write which numbers: points that lie on one another, by their places in pixels, share a label."""
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
    """The runs of `TRAJECTORIES` that there are, of the first seed."""
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
    figure.savefig(path, dpi=110, metadata={"Software": None})


__all__ = ["text", "write"]
