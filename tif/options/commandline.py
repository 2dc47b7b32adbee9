"""Turn a function into a command with the options of an options class."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from types import NoneType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand

from tif.console import warn
from tif.options.components import Components
from tif.options.config import merge, naming, read_config, without_defaults
from tif.options.declare import Declared, Options, declared, members
from tif.options.written import Written

F = TypeVar("F", bound=Callable[..., None])

_CONFIG_HELP: Final = "TOML or JSON file with these options, or the run.json of an earlier run. The command line wins."


def command(app: typer.Typer, name: str, *, parts: Components | None = None) -> Callable[[F], F]:
    """Turn a function into a command. Its first parameter is an options class, which declares the command's options.

    The function's other parameters become options of the output alone, such as `--json`. The command also gets
    `--config FILE`, and `--set NAME=VALUE` if plugins can add components.

    Args:
        app: the app that gets the command.
        name: the command's name.
        parts: the components that one option chooses among. The function's second parameter is then the chosen
            component's options.
    """

    def register(function: F) -> F:
        if parts is None or parts.plugin is None:
            app.command(name)(_callback(function, name, parts, parts.merged() if parts else ()))
            return function
        components = parts
        common: type[Options] = next(iter(get_type_hints(function).values()))

        class Command(TyperCommand):
            """The command with the options of the plugins that its arguments are about."""

            def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
                if plugins := _plugins(common, components, args, shown=bool({*ctx.help_option_names} & {*args})):
                    alone = typer.Typer()
                    alone.command()(_callback(function, name, parts, components.merged(plugins)))
                    # The same command once more, with more options.
                    grown = typer.main.get_command(alone)
                    self.params, self.callback = grown.params, grown.callback
                return super().parse_args(ctx, args)

        app.command(name, cls=Command)(_callback(function, name, parts, parts.merged()))
        return function

    return register


def _callback(
    function: Callable[..., None], name: str, parts: Components | None, special: Iterable[Declared]
) -> Callable[..., None]:
    """Return the function that Typer calls: its parameters are the options.

    Args:
        function: as in `command`.
        name: the command's name.
        parts: as in `command`.
        special: the options of the components.
    """
    hints = get_type_hints(function, include_extras=True)
    parameters = list(inspect.signature(function).parameters.values())
    common: type[Options] = hints[parameters[0].name]
    own = parameters[2 if parts else 1 :]
    flags = {each.flag for each in declared(common)}
    offered = [*declared(common), *(each for each in special if each.flag not in flags)]

    def called(ctx: typer.Context, **values: Any) -> None:
        config = values["config"]
        given = {
            each.name: _from_command_line(each, values[each.name]) for each in offered if _was_given(ctx, each.name)
        }
        rest = {parameter.name: values[parameter.name] for parameter in own}
        if parts is None:
            function(merge(common, given, config, name), **rest)
        else:
            function(*_both(common, parts, given, values.get("set_") or [], config, name), **rest)

    where = inspect.Parameter.KEYWORD_ONLY
    shown = [inspect.Parameter("ctx", where, annotation=typer.Context)]
    shown += [inspect.Parameter(each.name, where, default=None, annotation=_typer(each)) for each in offered]
    shown += [
        inspect.Parameter(key, where, default=None, annotation=annotation) for key, annotation in _added(parts).items()
    ]
    shown += [
        parameter.replace(kind=where, annotation=hints.get(parameter.name, parameter.annotation)) for parameter in own
    ]
    called.__doc__ = function.__doc__
    called.__name__ = function.__name__
    called.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    called.options = (common, parts)  # type: ignore[attr-defined]  # for the reference page
    return called


def _plugins(
    common: type[Options], parts: Components, words: Sequence[str], *, shown: bool
) -> dict[str, type[Options]]:
    """Return the options of the plugins that the command line is about: the chosen one, or all for the help.

    Args:
        common: the options that every component has.
        parts: the components.
        words: the arguments of the command.
        shown: whether they ask for the help.
    """
    names = next(each.option.names or (each.flag,) for each in declared(common) if each.name == parts.by)
    chosen = {after for word, after in pairwise(words) if word in names}
    chosen |= {word.partition("=")[2] for word in words if word.partition("=")[0] in names}
    if not shown:
        return {name: parts.options(name) for name in parts.plugins if name in chosen}
    plugins = {}
    for name in parts.plugins:
        try:
            plugins[name] = parts.options(name)
        except Exception as error:  # another package's code may raise anything; the help of the others is shown
            warn(f"the options of {parts.flag} {name} are not shown: {error}")
    return plugins


def _both(
    common: type[Options],
    parts: Components,
    given: dict[str, object],
    pairs: list[str],
    config: str | None,
    command: str,
) -> tuple[Options, Options]:
    """Return the options that every component has, and those of the chosen one."""
    content = {} if config is None else read_config(config, command)
    chosen = str(given.get(parts.by, content.get(parts.by, common.model_fields[parts.by].default)))
    special = parts.options(chosen)
    given = {**given, **parts.settings(pairs, common, chosen)}
    content = without_defaults([common, special], content)
    shared, own = parts.divide(given, common, chosen)
    with naming(config, content.keys() - given.keys(), [common, special]):
        shared_content, own_content = parts.divide(content, common, chosen)
        return common(**{**shared_content, **shared}), special(**{**own_content, **own})


def _added(parts: Components | None) -> dict[str, object]:
    """Return the options that `command` adds: `--config`, and `--set` for plugins."""
    added: dict[str, object] = {
        "config": Annotated[str | None, typer.Option("--config", metavar="FILE", help=_CONFIG_HELP)]
    }
    if parts is not None and parts.plugin is not None:
        text = f"Option of a plugin's {parts.by}. Repeat for several options."
        added["set_"] = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help=text)]
    return added


def _typer(each: Declared) -> Any:
    """Return the annotation that makes Typer offer an option."""
    option = each.option
    inner: Any = [part for part in members(each.type) if part is not NoneType]
    kind = Union[tuple(inner)] if len(inner) > 1 else inner[0]  # noqa: UP007  # built at run time
    if get_origin(kind) is tuple:
        member = get_args(kind)[0]
        # Typer has no lists of choices, and such a value may hold several: the options class refuses wrong ones.
        kind = list[str] if get_origin(member) is Literal else list[_typed(member)]  # type: ignore[misc]
    kind = _typed(kind)
    text = option.help if not each.required else f"{option.help} Required."
    settings: dict[str, Any] = {"help": text, "rich_help_panel": option.panel, "metavar": option.metavar}
    if option.env:
        settings["envvar"] = [option.env] if isinstance(option.env, str) else list(option.env)
    settings["show_default"] = each.shown_default or False
    if option.positional:
        return Annotated[kind | None, typer.Argument(**settings)]
    names = option.names or (each.flag,)
    if kind is bool:
        long = next(n for n in names if n.startswith("--"))
        names = (*(n for n in names if n != long), f"{long}/--no-{long.removeprefix('--')}")
    return Annotated[kind | None, typer.Option(*names, **settings)]


def _typed(kind: Any) -> Any:
    """Return the type of a value on the command line: `str` for a type with a text form."""
    return str if inspect.isclass(kind) and issubclass(kind, Written) else kind


def _was_given(ctx: typer.Context, name: str) -> bool:
    # Compare names: typer and click each have an enumeration of their own.
    source = ctx.get_parameter_source(name)
    return source is not None and source.name in ("COMMANDLINE", "ENVIRONMENT")


def _from_command_line(each: Declared, value: Any) -> Any:
    if not each.several:
        return value
    return each.split_up(value) if each.option.split else tuple(value)


__all__ = ["command"]
