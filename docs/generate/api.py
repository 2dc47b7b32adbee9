"""The API reference: the public modules below a package, from their docstrings.

A docstring is Markdown as people write it: code in single backticks, examples indented. Sphinx reads
reStructuredText, so the docstring is translated. A name in backticks becomes a link where a page describes the name.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.roles import XRefRole
from sphinx.util.typing import stringify_annotation

import tif
from generate.commands import prose
from tif.options import Declared, Options, declared

PRIVATE: Final = ("tif.cli", "tif.demo", "tif.edit", "tif.__main__")
"""Packages that are commands and not an API."""

LONG: Final = 100
"""Characters from which the value of a constant is left out."""

_FIELDS: Final = re.compile(r"(Args|Raises|Returns|Yields|Attributes|Note):$")
_NAME: Final = re.compile(r"[A-Za-z_]\w*(\.\w+)*")
_ITEM: Final = re.compile(r"\s*([-*]|\d+\.) ")
_CODE: Final = re.compile(r"(?<!`)`([^`]+)`(?!`)")


def public(package: str = "tif") -> list[str]:
    """The public modules of a package, itself among them."""
    names = [package]
    path = getattr(importlib.import_module(package), "__path__", [])
    names += sorted(module.name for module in pkgutil.walk_packages(path, f"{package}."))
    return [name for name in names if not _private(name)]


def _private(name: str) -> bool:
    return any(f"{name}.".startswith(f"{package}.") for package in PRIVATE) or "._" in name


def described(module: str) -> list[str]:
    """The public names that a module defines itself. A name that it only imports has its page elsewhere."""
    imported = importlib.import_module(module)
    defined: set[str] = set()
    for node in ast.parse(inspect.getsource(imported)).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined.add(node.name)
        defined.update(_assigned(node))
    public = getattr(imported, "__all__", sorted(name for name in defined if not name.startswith("_")))
    return [name for name in public if name in defined and name != "__version__"]


def markdown(*packages: str) -> str:
    """A section a module, for the modules of `packages`."""
    return "\n".join(line for package in packages for name in public(package) for line in _module(name))


def front() -> str:
    """A table of the names of `import tif`: each with its first sentence, and a link to where it is described."""
    lines = ["| name | what it is |", "|---|---|"]
    for name, (module, attribute) in sorted(exports().items(), key=lambda item: (item[0][0].isupper(), item[0])):
        documented = getattr(importlib.import_module(module), attribute)
        summary = " ".join((inspect.getdoc(documented) or "").split("\n\n")[0].split())
        lines.append(f"| {{py:obj}}`tif.{name} <{module}.{attribute}>` | {prose(summary)} |")
    return "\n".join(lines)


def exports() -> dict[str, tuple[str, str]]:
    """The names of `import tif`, each with the module that defines it and its name there."""
    branches = (node for node in ast.parse(inspect.getsource(tif)).body if isinstance(node, ast.If))
    types = next(node for node in branches if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING")
    return {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in types.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def _module(name: str) -> Iterator[str]:
    names = described(name)
    module = importlib.import_module(name)
    constants = {each for node in ast.parse(inspect.getsource(module)).body for each in _assigned(node)}
    yield from (f"## {name}", "", "```{eval-rst}", f".. automodule:: {name}")
    if members := [each for each in names if each not in constants]:
        yield f"   :members: {', '.join(members)}"
    yield ""
    for each in names:
        if each in constants:
            yield f".. autodata:: {name}.{each}"
            yield from ("   :no-value:", "") if len(repr(getattr(module, each))) > LONG else ("",)
    yield from ("```", "")


def _assigned(node: ast.stmt) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


# --- docstrings --------------------------------------------------------------------------------------------------


def restructured(lines: list[str]) -> list[str]:
    """A docstring's Markdown as reStructuredText, with the fields of a Google docstring left for napoleon."""
    out: list[str] = []
    text: list[str] = []
    fields = literal = False

    def end_of_text() -> None:
        out.extend(_inline("\n".join(text)).split("\n") if text else [])
        text.clear()

    for number, line in enumerate(lines):
        if line.strip() and not line.startswith("    "):
            fields, literal = bool(_FIELDS.match(line)), False
        elif line.strip() and number and not (fields or literal or _ITEM.match(lines[number - 1])):
            end_of_text()
            out += ["", "::", ""]
            literal = True
        if literal:
            out.append(line)
        elif not line.strip() or _starts_item(line, fields):
            end_of_text()
            text.append(line)
        else:
            text.append(line)
    end_of_text()
    return out


def _starts_item(line: str, fields: bool) -> bool:
    """A paragraph ends here: code in backticks does not go over it."""
    return _ITEM.match(line) is not None or (fields and re.match(r"    \w", line) is not None)


def _inline(text: str) -> str:
    """Code becomes a role or a literal, and any other character that reStructuredText reads as its own is escaped."""
    out = []
    for number, piece in enumerate(_CODE.split(text)):
        if number % 2 == 0:
            out.append(re.sub(r"(?<!\*)\*(?!\*| )|(?<=\w)_(?=\W|$)|\||\\", lambda match: "\\" + match[0], piece))
        elif _NAME.fullmatch(piece):
            out.append(rf"\ :maybe:`{piece}`\ ")
        else:
            out.append(rf"\ ``{piece}``\ ")
    return "".join(out)


class NameRole(XRefRole):
    """A name in backticks: a link where the name has a page, plain code where it has none."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Look the name up in Python's domain."""
        self.name = "py:obj"
        return super().run()

    def process_link(self, env: Any, refnode: nodes.Element, *rest: Any) -> tuple[str, str]:
        """Note the module and class around the name, and that the name may have no page."""
        refnode["py:module"] = env.ref_context.get("py:module")
        refnode["py:class"] = env.ref_context.get("py:class")
        refnode["maybe"] = True
        _has_title, title, target = rest
        return title, target


def _is_options(documented: Any) -> bool:
    return isinstance(documented, type) and issubclass(documented, Options) and bool(declared(documented))


def _signature(_app: Any, _what: str, _name: str, documented: Any, _options: Any, _shown: Any, returned: Any) -> Any:
    """The types and defaults of an options class, without the rest of each declaration."""
    if not _is_options(documented):
        return None
    shown = [f"{each.name}: {stringify_annotation(each.type, 'smart')}" for each in declared(documented)]
    defaults = ["" if each.required else f" = {each.default!r}" for each in declared(documented)]
    return f"(*, {', '.join(map(''.join, zip(shown, defaults, strict=True)))})", returned


def _docstring(_app: Any, what: str, _name: str, documented: Any, _options: Any, lines: list[str]) -> None:
    # A constant or an alias without a docstring shows that of its type, which says nothing of it.
    types = (type(documented), typing.get_origin(documented), documented) if what == "data" else ()
    if "\n".join(lines).strip() in {inspect.cleandoc(getattr(each, "__doc__", None) or "") for each in types}:
        lines.clear()
    if _is_options(documented):
        place = lines.index("Raises:") if "Raises:" in lines else len(lines)
        lines[place:place] = ["", "Args:", *(f"    {e.name}: {_one_line(e)}" for e in declared(documented)), ""]
    lines[:] = restructured(lines)


def _one_line(each: Declared) -> str:
    default = f" Default: {each.shown_default}." if each.shown_default else ""
    return " ".join(each.option.help.split()) + default


def _complete(_app: Any, tree: nodes.document) -> None:
    """Give names that a module imports their full name, also those that it imports for type checkers only."""
    for node in tree.findall(pending_xref):
        module = node.get("py:module")
        if node.get("refdomain") == "py" and module:
            head, dot, rest = node["reftarget"].partition(".")
            node["reftarget"] = _imports(module).get(head, head) + dot + rest


@cache
def _imports(module: str) -> dict[str, str]:
    """The names of tif that a module imports, with the full name of where each is defined."""
    nodes_ = ast.walk(ast.parse(inspect.getsource(importlib.import_module(module))))
    return {
        alias.asname or alias.name: _defined(node.module, alias.name)
        for node in nodes_
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "tif"
        for alias in node.names
    }


def _defined(module: str, name: str) -> str:
    """The full name of what a module offers under a name: a class may come from another module."""
    offered = getattr(importlib.import_module(module), name, None)
    if inspect.isclass(offered) or inspect.isfunction(offered):
        return f"{offered.__module__}.{offered.__qualname__}"
    return f"{module}.{name}"


def _missing(_app: Any, _env: Any, node: pending_xref, content: nodes.Element) -> nodes.Element | None:
    """Let a name in a docstring and a type variable do without a page. Anything else is a warning."""
    if node.get("maybe"):
        return content
    module, _, name = node.get("reftarget", "").rpartition(".")
    try:
        variable = isinstance(getattr(importlib.import_module(module), name), typing.TypeVar | typing.ParamSpec)
    except (ImportError, AttributeError, ValueError):
        return None
    return content if variable else None


def setup(app: Any) -> None:
    """Connect this to Sphinx."""
    app.add_role("maybe", NameRole())
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-process-docstring", _docstring, priority=100)
    app.connect("doctree-read", _complete)
    app.connect("missing-reference", _missing)


__all__ = ["LONG", "PRIVATE", "described", "exports", "front", "markdown", "public", "restructured", "setup"]
