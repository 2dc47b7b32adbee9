"""The declaration of an option, and a class of options. Options are frozen, checked, and refused without effect."""

from __future__ import annotations

import difflib
import math
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, Self, Union, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from pydantic.fields import FieldInfo

from tif.errors import UsageError
from tif.options.written import FAULT, Written, shortest

Idle = Callable[[Any, Any], str | None]
"""Returns why an option has no effect, or None if it has one. Takes the options and a context, which may be None."""


@dataclass(frozen=True, slots=True)
class Option:
    """The declaration of an option besides its name, type and default."""

    help: str
    panel: str | None = None
    """Heading under which `--help` shows it."""
    _: KW_ONLY
    names: tuple[str, ...] = ()
    """Names on the command line. Default: `--` and the field's name with dashes."""
    positional: bool = False
    """Whether the option is an argument without a name."""
    metavar: str | None = None
    env: str | tuple[str, ...] | None = None
    """Environment variable with the value if the command line does not give it; of several, the first that is set."""
    otherwise: str | None = None
    """The meaning of a default of None."""
    above: float | None = None
    least: float | None = None
    below: float | None = None
    most: float | None = None
    split: bool = False
    """Whether the values of a list option may also have commas between them."""
    idle: Idle | None = None
    """Returns why the option has no effect. An option that is given without effect is refused."""
    outcome: bool = True
    """False for an option that does not change the result, so that a run can continue with another value."""

    def check(self, value: object) -> str | None:
        """Return the fault of a number, or None."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if not math.isfinite(value):
            return f"{value} is not a finite number"
        if self.above is not None and value <= self.above:
            return f"{value} is not above {shortest(self.above)}"
        if self.least is not None and value < self.least:
            return f"{value} is below {shortest(self.least)}"
        if self.below is not None and value >= self.below:
            return f"{value} is not below {shortest(self.below)}"
        if self.most is not None and value > self.most:
            return f"{value} is above {shortest(self.most)}"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One option of a class: its declaration, name, type and default."""

    name: str
    """The name in Python and in a config file."""
    type: Any
    default: Any
    """None for a required option."""
    required: bool
    option: Option

    @property
    def flag(self) -> str:
        """The name on the command line: `--batch-size`, or the metavar of an argument."""
        if self.option.positional:
            return self.option.metavar or self.name.upper()
        return next((n for n in self.option.names if n.startswith("--")), "--" + self.name.replace("_", "-"))

    @property
    def several(self) -> bool:
        """Whether the option takes a list of values."""
        return any(get_origin(part) is tuple for part in members(self.type))

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of a closed set; empty for any other type."""
        return tuple(choice for part in members(self.type) if get_origin(part) is Literal for choice in get_args(part))

    @property
    def shown_default(self) -> str | None:
        """The default as `--help` shows it; None if `--help` shows none."""
        if self.option.otherwise:
            return self.option.otherwise
        if self.required or self.default is None or self.default is False or self.default in ((), ""):
            return None
        if isinstance(self.default, tuple):
            return ",".join(map(str, self.default))
        return "yes" if self.default is True else str(self.default)

    def is_default(self, value: object) -> bool:
        """Return whether a config file's value is the default."""
        usual = list(self.default) if isinstance(self.default, tuple) else self.default
        if isinstance(usual, Written) and isinstance(value, str):
            usual = str(usual)
        return not self.required and value == usual

    def split_up(self, values: Iterable[str]) -> tuple[str, ...]:
        """Split values with commas between them.

        Raises:
            UsageError: if no value remains.
        """
        return split_values(values, self.flag)


def split_values(values: Iterable[str], flag: str) -> tuple[str, ...]:
    """Split values with commas between them, and drop what is named twice.

    Raises:
        UsageError: if no value remains.
    """
    pieces = tuple(dict.fromkeys(piece.strip() for value in values for piece in value.split(",") if piece.strip()))
    if not pieces:
        raise UsageError("names nothing", where=flag)
    return pieces


class Options(BaseModel):
    """The options of a command or of a component: frozen, and checked on creation.

    A subclass declares each option as `Annotated[TYPE, Option(...)]` with a default. It overrides `check` for rules
    between options.

    Raises:
        UsageError: for an unknown name, a value of another type or outside its range, options that contradict each
            other, or an option that was given but has no effect.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, protected_namespaces=())

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise _refusal(type(self), error) from None
        for each in declared(type(self)):
            value = getattr(self, each.name)
            for item in value if isinstance(value, tuple) else (value,):
                if problem := each.option.check(item):
                    raise UsageError(problem, where=each.flag)
        self.check()
        self.refuse_idle()

    def check(self) -> None:
        """Raise a `UsageError` for options that contradict each other. The base class allows everything."""

    def refuse_idle(self, context: Any = None) -> None:
        """Refuse an option that was given but has no effect. Its user expects an effect.

        Args:
            context: the second argument of `Option.idle`, if the caller knows it already.

        Raises:
            UsageError: for the first such option.
        """
        for each in declared(type(self)):
            if each.name in self.model_fields_set and each.option.idle is not None:
                reason = each.option.idle(self, context)
                if reason is not None and getattr(self, each.name) not in (None, ()):
                    raise UsageError(f"{each.flag} does nothing here", why=reason)

    def to_json(self) -> dict[str, JsonValue]:
        """Return all options as JSON values, including defaults."""
        return self.model_dump(mode="json")

    def outcome(self) -> dict[str, JsonValue]:
        """Return the options that change the result, as JSON values."""
        free = {each.name for each in declared(type(self)) if not each.option.outcome}
        return self.model_dump(mode="json", exclude=free)

    def but(self, **changed: Any) -> Self:
        """Return the options with these changes, checked again."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self)(**(given | changed))


def declared(options: type[Options]) -> tuple[Declared, ...]:
    """Return the options of a class, in the order of their declaration."""
    known = options.__dict__.get("__tif_declared__")
    if known is None:
        known = tuple(_declared(name, info) for name, info in options.model_fields.items())
        type.__setattr__(options, "__tif_declared__", known)
    return cast(tuple[Declared, ...], known)


def needs(other: str, hint: str | None = None) -> Idle:
    """Return the rule that an option has no effect unless another is set (not None, False or empty)."""
    flag = "--" + other.replace("_", "-")

    def reason(options: Any, _context: Any) -> str | None:
        return None if getattr(options, other) else hint or f"it needs {flag}"

    return reason


def only_with(other: str, *values: object) -> Idle:
    """Return the rule that an option has no effect unless another has one of these values."""
    flag = "--" + other.replace("_", "-")

    def reason(options: Any, _context: Any) -> str | None:
        return None if getattr(options, other) in values else f"it is for {flag} {' or '.join(map(str, values))}"

    return reason


def members(kind: Any) -> Iterator[Any]:
    """Yield the members of a union, or the type itself."""
    if get_origin(kind) in (Union, types.UnionType):
        for part in get_args(kind):
            yield from members(part)
    else:
        yield kind


def unknown(name: str, known: list[str]) -> UsageError:
    """Return the error of an unknown option, with the nearest known name."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(sorted(known)) or 'none'}."
    return UsageError(f"no option {name!r}", hint=hint)


def _declared(name: str, info: FieldInfo) -> Declared:
    option = next((item for item in info.metadata if isinstance(item, Option)), None)
    if option is None:
        raise TypeError(f"option {name!r} has no declaration: use Annotated[TYPE, Option(...)]")
    required = info.is_required()
    default = None if required else info.get_default(call_default_factory=True)
    return Declared(name=name, type=info.annotation, default=default, required=required, option=option)


def _refusal(options: type[Options], error: ValidationError) -> UsageError:
    """Return the first fault, as one line."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    each = next((each for each in declared(options) if each.name == name), None)
    if each is None:
        return unknown(name, [known.name for known in declared(options)])
    if first["type"] == "missing":
        return UsageError("must be given", where=each.flag, hint=each.option.help)
    if first["type"] == FAULT:
        return UsageError(first["ctx"]["what"], where=each.flag, hint=first["ctx"]["hint"] or None)
    shown = repr(first.get("input"))
    value = shown if len(shown) <= 60 else shown[:57] + "..."
    hint = f"Known: {', '.join(each.choices)}." if each.choices else None
    return UsageError(f"is {value}", where=each.flag, why=None if hint else str(first["msg"]).lower(), hint=hint)


__all__ = ["Declared", "Idle", "Option", "Options", "declared", "members", "needs", "only_with", "unknown"]
