"""Options of components: an option such as `--method` chooses a component, and each component has its own options."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from types import NoneType
from typing import Any

from pydantic import ConfigDict

from tif.errors import UsageError
from tif.options.declare import Declared, Options, declared, members, unknown


class Keywords(Options):
    """Options of a plugin that declares none. They are passed on unchanged."""

    model_config = ConfigDict(extra="allow")

    @property
    def given(self) -> dict[str, object]:
        """The names and values of the options."""
        return dict(self.model_extra or {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """The components that one option chooses among."""

    by: str
    """The option that chooses, such as `method`."""
    builtin: Mapping[str, type[Options]]
    """The options class of each component of tif itself."""
    plugin: Callable[[str], type[Options]] | None = None
    """Returns the options class of another package's component. Raises a `UsageError` for an unknown name."""
    names: Callable[[], Collection[str]] | None = None
    """Returns the names of all components, also of those of other packages."""

    @property
    def plugins(self) -> list[str]:
        """The names of the components of other packages. None of them is imported."""
        return [name for name in self.names() if name not in self.builtin] if self.names is not None else []

    @property
    def flag(self) -> str:
        """The choosing option's name on the command line."""
        return "--" + self.by.replace("_", "-")

    def options(self, name: str) -> type[Options]:
        """Return the options class of a component.

        Raises:
            UsageError: for an unknown name.
        """
        if name in self.builtin:
            return self.builtin[name]
        if self.plugin is not None:
            return self.plugin(name)
        raise UsageError(f"no {self.by} {name!r}", where=self.flag, hint=f"Known: {', '.join(self.builtin)}.")

    def divide(
        self, given: Mapping[str, object], common: type[Options], chosen: str
    ) -> tuple[dict[str, object], dict[str, object]]:
        """Divide the given options into those that every component has and those of the chosen one.

        Args:
            given: options by name.
            common: the class of the options that every component has.
            chosen: the component's name.

        Raises:
            UsageError: for an option of another component, with the names of the components that have it.
        """
        own = self.options(chosen)
        known = [each.name for cls in (common, own) for each in declared(cls)]
        for name in given:
            if name in known or issubclass(own, Keywords):
                continue
            owners = {key: each for key, cls in self.builtin.items() for each in declared(cls) if each.name == name}
            if owners:
                hint = f"It goes with {self.flag} {' or '.join(owners)}."
                raise UsageError(f"{self.flag} {chosen} has no option {next(iter(owners.values())).flag}", hint=hint)
            raise unknown(name, known)
        shared = common.model_fields
        return (
            {name: value for name, value in given.items() if name in shared},
            {name: value for name, value in given.items() if name not in shared},
        )

    def merged(self, plugins: Mapping[str, type[Options]] | None = None) -> list[Declared]:
        """Return the options of all built-in components, each name once. The help gives its meaning by component.

        Args:
            plugins: the options of other packages' components, by name. One that has the name or the flag of another
                option, but not its type, is left out: `--set` gives it.
        """
        owners: dict[str, dict[str, Declared]] = {}
        for key, cls in self.builtin.items():
            for each in declared(cls):
                owners.setdefault(each.name, {})[key] = each
        for key, cls in (plugins or {}).items():
            for each in declared(cls):
                having = owners.get(each.name, {})
                taken = [other for name, others in owners.items() if name != each.name for other in others.values()]
                if all(_same(each, other) for other in having.values()) and each.flag not in {o.flag for o in taken}:
                    owners.setdefault(each.name, {})[key] = each
        return [self._merged(having) for having in owners.values()]

    def settings(self, pairs: Iterable[str], common: type[Options], chosen: str) -> dict[str, object]:
        """Return the options of the chosen component that were given as `NAME=VALUE`.

        A value in JSON is parsed; any other value is text. A list option takes values with commas between them.

        Raises:
            UsageError: for a pair without `=`, or an option that every component has.
        """
        known = {each.name: each for each in declared(self.options(chosen))}
        given: dict[str, object] = {}
        for pair in pairs:
            name, equals, value = pair.partition("=")
            name = name.strip().replace("-", "_")
            if not equals or not name.isidentifier():
                raise UsageError(f"{pair!r} is not NAME=VALUE", where="--set")
            if name in common.model_fields:
                flag = next(each.flag for each in declared(common) if each.name == name)
                raise UsageError(f"is for options of one {self.by} alone", where="--set", hint=f"Use {flag}.")
            each = known.get(name)
            given[name] = each.split_up([value]) if each is not None and each.option.split else _parsed(value)
        return given

    def _merged(self, having: Mapping[str, Declared]) -> Declared:
        """Return one declaration for the same option of several components."""
        first = next(iter(having.values()))
        if not all(_same(each, first) for each in having.values()):
            raise TypeError(f"option {first.name!r} has another type or flag in one of: {', '.join(having)}")
        panel = first.option.panel
        if panel is None or any(each.option.panel != panel for each in having.values()):
            several = f"Options of several {self.by}s"
            panel = several if len(having) > 1 else f"Options of {self.flag} {next(iter(having))}"
        if len(having) == 1:
            return replace(first, option=replace(first.option, panel=panel))
        shown = {each.shown_default for each in having.values()}
        readings: dict[str, list[str]] = {}
        for key, each in having.items():
            default = f" (default: {each.shown_default})" if len(shown) > 1 and each.shown_default else ""
            required = " Required." if each.required else ""
            readings.setdefault(f"{each.option.help.removesuffix('.')}{default}.{required}", []).append(key)
        text = " ".join(f"{', '.join(keys)}: {reading}" for reading, keys in readings.items())
        otherwise = first.shown_default if len(shown) == 1 else None
        option = replace(first.option, help=text, panel=panel, otherwise=otherwise)
        return replace(first, default=None, required=False, option=option)


def _same(one: Declared, other: Declared) -> bool:
    """Whether one option of the command line can stand for both."""
    return one.flag == other.flag and _bare(one) == _bare(other)


def _bare(each: Declared) -> set[Any]:
    return {part for part in members(each.type) if part is not NoneType}


def _parsed(value: str) -> Any:
    try:
        return json.loads(value, parse_constant=_no_number)
    except ValueError:
        return value


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


__all__ = ["Components", "Keywords"]
