"""The options of `tif tune`: those of `tif train`, and what is tried and by what it is judged."""

from __future__ import annotations

from typing import Annotated, Final

from tif.errors import UsageError, first_of
from tif.options import Option, declared
from tif.options.declare import unknown
from tif.train.grid import RATES, Grid, candidates
from tif.train.options import TrainOptions

_SEARCH: Final = "Search"
_PLACES: Final = frozenset({"masks", "model", "out", "base_model", "retain", "data_dir"})
"""What every candidate has in common."""


class TuneOptions(TrainOptions):
    """What a search tries, and by what it chooses. The options of training are those of every candidate.

    Raises:
        UsageError: as `TrainOptions`, for each candidate; for more candidates than the budget, and options that cannot
            be tried.
    """

    aim: Annotated[
        str,
        Option("Model that never saw these samples, usually the model before fine-tuning. Its probability of unwanted "
               "phrases is the level that candidates are to reach.", _SEARCH, metavar="MODEL", outcome=False),
    ]  # fmt: skip
    grid: Annotated[
        tuple[Grid, ...],
        Option("An option of training and the values to try: lr=1e-5,3e-5. Repeat it for every combination.", _SEARCH,
               names=("--try",), metavar="NAME=VALUES", otherwise=str(RATES)),
    ] = ()  # fmt: skip
    budget: Annotated[
        int, Option("Most candidates that may be tried.", _SEARCH, metavar="N", least=1, outcome=False)
    ] = len(RATES.values)
    keep: Annotated[
        float,
        Option("Fraction of the starting model's probability of retain samples that a candidate must leave.", _SEARCH,
               above=0, most=1),
    ] = 0.98  # fmt: skip
    evaluated: Annotated[
        str | None,
        Option("Annotation set that is forgotten and evaluated afterwards. The search must not use its samples.",
               _SEARCH, metavar="FILE[@N]", outcome=False),
    ] = None  # fmt: skip

    def check(self) -> None:
        """Refuse a grid that cannot be tried, before the first run."""
        super().check()
        if not self.retain:
            raise UsageError("a search needs samples to keep", where="--retain", why="it chooses by what is kept")
        if self.evaluate_every is not None:
            raise UsageError("a search evaluates nothing", where="--evaluate-every", hint="Leave it out.")
        known = {each.name: each for each in declared(TrainOptions)}
        for each in self.grid:
            if each.name not in known:
                raise unknown(each.name, list(known))
            if each.name in _PLACES or known[each.name].several or not known[each.name].option.outcome:
                raise UsageError(f"cannot try several values of {each.name}", where="--try", hint="Try a number.")
        if twice := [g.name for i, g in enumerate(self.grid) if g.name in {h.name for h in self.grid[:i]}]:
            raise UsageError(f"names {first_of(twice)} twice", where="--try", hint="Give all values at once.")
        if (count := len(self.candidates())) > self.budget:
            raise UsageError(
                f"{count} candidates, and the budget is {self.budget}",
                where="--try",
                hint=f"Try fewer values, or give every objective that is compared --budget {count}.",
            )
        for settings in self.candidates():
            self.of_candidate(settings, self.out)

    def candidates(self) -> list[dict[str, str]]:
        """The settings that are tried."""
        return candidates(self.grid or (RATES,))

    def of_candidate(self, settings: dict[str, str], out: str) -> TrainOptions:
        """The options of one candidate's run.

        Args:
            settings: one of `candidates()`.
            out: its run folder.
        """
        own = {each.name for each in declared(type(self))} - {each.name for each in declared(TrainOptions)}
        given = {name: getattr(self, name) for name in self.model_fields_set - own}
        return TrainOptions(**{**given, **settings, "out": out})


__all__ = ["TuneOptions"]
