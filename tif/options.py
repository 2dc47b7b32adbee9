"""How an option is declared once, and everything that follows from the declaration.

    class TrainOptions(Options):
        lr: Annotated[float, Option("Peak learning rate.", "Training", above=0)] = 1e-5

From such a class come the command line (`command`), a config file's keys (`read_config`), the run's record
(`Options.to_json`), the Python API's signature (the class itself), and the reference page (`declared`).

The command line wins over the config file, and the config file over the defaults.
"""

from __future__ import annotations

import difflib
import inspect
import json
import math
import tomllib
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import typer
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from tif.errors import InputError, UsageError

Idle = Callable[[Any, Any], str | None]
"""Says why an option has no effect, or None if it has one. Takes the options and a context, which may be None."""

_CONFIG_HELP: Final = "TOML or JSON file with these options, or the run.json of an earlier run. The command line wins."


@dataclass(frozen=True, slots=True)
class Option:
    """What is known of an option besides its name, type and default."""

    help: str
    panel: str | None = None
    """Heading under which `--help` shows it."""
    _: KW_ONLY
    names: tuple[str, ...] = ()
    """Names on the command line. Default: `--` and the field's name with dashes."""
    positional: bool = False
    """An argument without a name."""
    metavar: str | None = None
    env: str | None = None
    """Environment variable that gives the value where the command line does not."""
    otherwise: str | None = None
    """What the default means, where the default is None."""
    above: float | None = None
    least: float | None = None
    below: float | None = None
    most: float | None = None
    split: bool = False
    """A list option whose values may also be given with commas between them."""
    idle: Idle | None = None
    """Why the option would have no effect. One that was given and has none is refused."""
    outcome: bool = True
    """False for an option that does not change the result, so that a run may go on under another value."""

    def check(self, value: object) -> str | None:
        """What is wrong with a number, or None."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if not math.isfinite(value):
            return f"{value} is not a finite number"
        if self.above is not None and value <= self.above:
            return f"{value} is not above {self.above:g}"
        if self.least is not None and value < self.least:
            return f"{value} is below {self.least:g}"
        if self.below is not None and value >= self.below:
            return f"{value} is not below {self.below:g}"
        if self.most is not None and value > self.most:
            return f"{value} is above {self.most:g}"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One option of a class: its declaration, and what the class adds to it."""

    name: str
    """As in Python and in a config file."""
    type: Any
    default: Any
    """None for an option that must be given."""
    required: bool
    option: Option

    @property
    def flag(self) -> str:
        """The name that people see: `--batch-size`, or the metavar of an argument."""
        if self.option.positional:
            return self.option.metavar or self.name.upper()
        return next((n for n in self.option.names if n.startswith("--")), "--" + self.name.replace("_", "-"))

    @property
    def several(self) -> bool:
        """Whether the option takes a list of values."""
        return any(get_origin(part) is tuple for part in _parts(self.type))

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of a closed set; empty for any other type."""
        return tuple(choice for part in _parts(self.type) if get_origin(part) is Literal for choice in get_args(part))


class Options(BaseModel):
    """The options of a command or of a component: frozen, and checked when made.

    A subclass declares each option as `Annotated[TYPE, Option(...)]` with a default. It overrides `check` for what
    holds between options.

    Raises:
        UsageError: for an unknown name, a value of another type or outside its range, options that contradict each
            other, or an option that was given and has no effect.
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
        """Refuse an option that was given and has no effect: who gave it believes that it has one.

        Args:
            context: what an `Option.idle` needs besides the options, where the caller knows it by now.

        Raises:
            UsageError: naming the first such option.
        """
        for each in declared(type(self)):
            if each.name in self.model_fields_set and each.option.idle is not None:
                reason = each.option.idle(self, context)
                if reason is not None and getattr(self, each.name) is not None:
                    raise UsageError(f"{each.flag} does nothing here", why=reason)

    def to_json(self) -> dict[str, Any]:
        """All options as JSON values, defaults included."""
        return self.model_dump(mode="json")

    def outcome(self) -> dict[str, Any]:
        """Those that change the result, as JSON values."""
        free = {each.name for each in declared(type(self)) if not each.option.outcome}
        return self.model_dump(mode="json", exclude=free)

    def but(self, **changed: Any) -> Self:
        """The same options with some changed, checked anew."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self)(**(given | changed))


O = TypeVar("O", bound=Options)  # noqa: E741
F = TypeVar("F", bound=Callable[..., None])


def declared(options: type[Options]) -> tuple[Declared, ...]:
    """The options of a class, in the order of their declaration."""
    known = options.__dict__.get("__tif_declared__")
    if known is None:
        known = tuple(_declared(name, info) for name, info in options.model_fields.items())
        type.__setattr__(options, "__tif_declared__", known)
    return cast(tuple[Declared, ...], known)


def needs(other: str, hint: str | None = None) -> Idle:
    """The option has no effect unless another one is set (neither None, nor False, nor empty)."""
    flag = "--" + other.replace("_", "-")

    def reason(options: Any, _context: Any) -> str | None:
        return None if getattr(options, other) else hint or f"it needs {flag}"

    return reason


def only_with(other: str, *values: object) -> Idle:
    """The option has no effect unless another one has one of these values."""
    flag = "--" + other.replace("_", "-")

    def reason(options: Any, _context: Any) -> str | None:
        return None if getattr(options, other) in values else f"it is for {flag} {' or '.join(map(str, values))}"

    return reason


# --- config files ------------------------------------------------------------------------------------------------


def read_config(path: str | Path, command: str) -> dict[str, Any]:
    """The options that a config file gives to a command, not yet checked.

    A TOML or JSON file has the options' names as keys (`batch_size` or `batch-size`), at the top or in a table named
    after the command. A record (`run.json`, `eval.json`) gives the options of the run that it describes.

    Raises:
        InputError: for a file that cannot be read.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
        content = tomllib.loads(raw.decode()) if path.suffix == ".toml" else json.loads(raw)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from None
    except ValueError as error:
        kind = "TOML" if path.suffix == ".toml" else "JSON"
        raise InputError(f"is not {kind}", where=str(path), why=str(error)[:160]) from None
    if not isinstance(content, dict):
        raise InputError("holds no options", where=str(path), why="the file is not an object of names and values")
    if "schema" in content and isinstance(content.get("config"), dict):
        content = content["config"]
    elif isinstance(content.get(command), dict):
        content = content[command]
    return {str(name).replace("-", "_"): value for name, value in content.items()}


def merge(options: type[O], given: Mapping[str, Any], config: str | Path | None, command: str) -> O:
    """Options from the command line and a config file.

    Args:
        options: the class.
        given: what the command line gave.
        config: the file, if one was named.
        command: the command's name, for a file that has a table of this name.

    Raises:
        UsageError, InputError: as `Options` and `read_config`; an error of a value from the file names the file.
    """
    from_file = {} if config is None else _without_defaults(options, read_config(config, command))
    with _naming(config, from_file.keys() - given.keys(), [options]):
        return options(**{**from_file, **given})


def divide(
    given: Mapping[str, Any], common: type[Options], chosen: str, parts: Mapping[str, type[Options]], by: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Given options, as those that every choice has and those of the chosen component.

    Args:
        given: options by name.
        common: the class of the options that every choice has.
        chosen: the component's name, a key of `parts`.
        parts: the components' classes by name.
        by: the option that chooses, such as `method`.

    Raises:
        UsageError: for an option of another component, naming those that have it.
    """
    shared = {each.name for each in declared(common)}
    own = {each.name: each for each in declared(parts[chosen])}
    flag = "--" + by.replace("_", "-")
    for name in given:
        if name not in shared and name not in own:
            owners = [key for key, part in parts.items() if name in part.model_fields]
            if owners:
                option = next(each for each in declared(parts[owners[0]]) if each.name == name)
                hint = f"It goes with {flag} {' or '.join(owners)}."
                raise UsageError(f"{flag} {chosen} has no option {option.flag}", hint=hint)
            raise _unknown(name, [*shared, *own])
    return (
        {name: value for name, value in given.items() if name in shared},
        {name: value for name, value in given.items() if name in own},
    )


# --- the command line --------------------------------------------------------------------------------------------


def command(
    app: typer.Typer, name: str, *, parts: Mapping[str, type[Options]] | None = None, by: str = "method"
) -> Callable[[F], F]:
    """Put a function on the command line. Its first parameter is an options class, which gives the command's options.

    The function's other parameters stay as they are, for what concerns the output alone (`--json`). `--config FILE` is
    added.

    Args:
        app: where the command goes.
        name: its name.
        parts: classes of the components that one option chooses among. The function's second parameter is then the
            chosen component's options.
        by: the option that chooses.
    """

    def register(function: F) -> F:
        hints = get_type_hints(function, include_extras=True)
        parameters = list(inspect.signature(function).parameters.values())
        common = hints[parameters[0].name]
        own = parameters[2 if parts else 1 :]
        offered: dict[str, Declared] = {}
        for each in (each for cls in (common, *(parts or {}).values()) for each in declared(cls)):
            offered.setdefault(each.name, each)

        def called(ctx: typer.Context, config: str | None, **values: Any) -> None:
            given = {
                each.name: _from_command_line(each, values[each.name])
                for each in offered.values()
                if _was_given(ctx, each.name)
            }
            rest = {parameter.name: values[parameter.name] for parameter in own}
            if parts is None:
                function(merge(common, given, config, name), **rest)
                return
            from_file = {} if config is None else read_config(config, name)
            default = common.model_fields[by].default
            chosen = given.get(by, from_file.get(by, default))
            if chosen not in parts:
                raise UsageError(f"no {by} {chosen!r}", where=f"--{by}", hint=f"Known: {', '.join(parts)}.")
            from_file = _without_defaults(parts[chosen], _without_defaults(common, from_file))
            with _naming(config, from_file.keys() - given.keys(), [common, *parts.values()]):
                shared, special = divide({**from_file, **given}, common, chosen, parts, by)
                chosen_options = common(**shared), parts[chosen](**special)
            function(*chosen_options, **rest)

        where = inspect.Parameter.KEYWORD_ONLY
        shown = [inspect.Parameter("ctx", where, annotation=typer.Context)]
        shown += [
            inspect.Parameter(each.name, where, default=None, annotation=_typer(each)) for each in offered.values()
        ]
        shown.append(
            inspect.Parameter(
                "config",
                where,
                default=None,
                annotation=Annotated[str | None, typer.Option("--config", metavar="FILE", help=_CONFIG_HELP)],
            )
        )
        shown += [
            parameter.replace(kind=where, annotation=hints.get(parameter.name, parameter.annotation))
            for parameter in own
        ]
        called.__doc__ = function.__doc__
        called.__name__ = function.__name__
        called.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
        called.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
        app.command(name)(called)
        return function

    return register


def _typer(each: Declared) -> Any:
    """The annotation that makes Typer offer an option."""
    option = each.option
    inner: Any = [part for part in _parts(each.type) if part is not types.NoneType]
    kind = Union[tuple(inner)] if len(inner) > 1 else inner[0]  # noqa: UP007  # built at run time
    if get_origin(kind) is tuple:
        kind = list[get_args(kind)[0]]  # type: ignore[misc]
    text = option.help if not each.required else f"{option.help} Required."
    shown = option.otherwise or _shown_default(each)
    settings: dict[str, Any] = {"help": text, "rich_help_panel": option.panel, "metavar": option.metavar}
    if option.env:
        settings["envvar"] = option.env
    settings["show_default"] = shown if shown else False
    if option.positional:
        return Annotated[kind | None, typer.Argument(**settings)]
    names = option.names or (each.flag,)
    if kind is bool:
        long = next(n for n in names if n.startswith("--"))
        names = (*(n for n in names if n != long), f"{long}/--no-{long.removeprefix('--')}")
    return Annotated[kind | None, typer.Option(*names, **settings)]


def _shown_default(each: Declared) -> str | None:
    if each.required or each.default is None or each.default == () or each.default is False or each.default == "":
        return None
    if isinstance(each.default, tuple):
        return ",".join(map(str, each.default))
    return "yes" if each.default is True else str(each.default)


def _was_given(ctx: typer.Context, name: str) -> bool:
    # By name: typer and click each have an enumeration of their own.
    source = ctx.get_parameter_source(name)
    return source is not None and source.name in ("COMMANDLINE", "ENVIRONMENT")


def _from_command_line(each: Declared, value: Any) -> Any:
    if not each.several:
        return value
    if each.option.split and all(isinstance(item, str) for item in value):
        value = [piece.strip() for item in value for piece in item.split(",") if piece.strip()]
        if not value:
            raise UsageError("names nothing", where=each.flag)
    return tuple(value)


# --- below -------------------------------------------------------------------------------------------------------


def _declared(name: str, info: FieldInfo) -> Declared:
    option = next((item for item in info.metadata if isinstance(item, Option)), None)
    if option is None:
        raise TypeError(f"option {name!r} has no declaration: use Annotated[TYPE, Option(...)]")
    required = info.is_required()
    default = None if required else info.get_default(call_default_factory=True)
    return Declared(name=name, type=info.annotation, default=default, required=required, option=option)


def _parts(kind: Any) -> Iterator[Any]:
    """The members of a union, or the type itself."""
    if get_origin(kind) in (Union, types.UnionType):
        for part in get_args(kind):
            yield from _parts(part)
    else:
        yield kind


def _without_defaults(options: type[Options], given: Mapping[str, Any]) -> dict[str, Any]:
    """Without those that are the default: a record lists every option, and nobody gave these."""
    usual = {each.name: _plain(each.default) for each in declared(options) if not each.required}
    return {name: value for name, value in given.items() if name not in usual or value != usual[name]}


@contextmanager
def _naming(config: str | Path | None, from_file: Collection[str], classes: Iterable[type[Options]]) -> Iterator[None]:
    """Put the config file's name before an error of an option that the file gave."""
    try:
        yield
    except UsageError as error:
        flags = {each.flag: each.name for options in classes for each in declared(options)}
        name = flags.get(error.where[0]) if error.where else None
        if config is not None and (name is None or name in from_file):
            raise error.within(str(config)) from None
        raise


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _refusal(options: type[Options], error: ValidationError) -> UsageError:
    """The first thing that is wrong, as one line."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    each = next((each for each in declared(options) if each.name == name), None)
    if each is None:
        return _unknown(name, [known.name for known in declared(options)])
    if first["type"] == "missing":
        return UsageError("must be given", where=each.flag)
    shown = repr(first.get("input"))
    value = shown if len(shown) <= 60 else shown[:57] + "..."
    hint = f"Known: {', '.join(each.choices)}." if each.choices else None
    return UsageError(f"is {value}", where=each.flag, why=None if hint else str(first["msg"]).lower(), hint=hint)


def _unknown(name: str, known: list[str]) -> UsageError:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(sorted(known))}."
    return UsageError(f"no option {name!r}", hint=hint)


__all__ = [
    "Declared",
    "Idle",
    "Option",
    "Options",
    "command",
    "declared",
    "divide",
    "merge",
    "needs",
    "only_with",
    "read_config",
]
