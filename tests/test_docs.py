"""The site: it builds without a warning, it holds every command, option, key and module, and every page is linked."""

import ast
import html
import os
import posixpath
import re
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

import pytest
import typer
from filelock import FileLock

import tif
from tif.options import Components, Option, Options, command, declared, read_config
from tif.train.options import TrainOptions

ROOT = Path(tif.__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))

from generate import api, commands, options, pages  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folder of the site, built as `make docs` builds it: once, if several processes run the tests."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    out, log = base / "site", base / "site.log"
    with FileLock(base / "site.lock"):
        if not log.exists():
            done = build(ROOT, out)
            log.write_text(done.stderr or ("" if done.returncode == 0 else "the build failed without a word"))
    assert log.read_text() == ""
    return out


def build(source, out, *more):
    arguments = ["-b", "html", "-c", ROOT / "docs", "--fail-on-warning", "--keep-going", "-q", *more, source, out]
    return subprocess.run([sys.executable, "-m", "sphinx", *map(str, arguments)], capture_output=True, text=True)


class Page(HTMLParser):
    """The links, pictures and anchors of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.links += [given[name] for name in ("href", "src") if given.get(name)]
        self.anchors |= {given["id"]} if given.get("id") else set()


@pytest.fixture(scope="session")
def linked(site):
    """The pages that a reader reaches from the first one, by name."""
    seen, waiting = {}, ["index.html"]
    while waiting:
        name = waiting.pop()
        if name not in seen and name.endswith(".html"):
            seen[name] = Page((site / name).read_text(encoding="utf-8"))
            waiting += [target for target, _ in targets(name, seen[name])]
    return seen


def targets(name, page):
    """The files of the site that a page links to, with the anchor."""
    for link in page.links:
        parts = urlsplit(link)
        if not parts.scheme and not parts.netloc:
            folder = posixpath.dirname(name)
            path = posixpath.normpath(posixpath.join(folder, unquote(parts.path))) if parts.path else name
            yield path, unquote(parts.fragment)


def inventory_of(site):
    """Everything that the site describes: names by kind."""
    _, _, _, _, packed = (site / "objects.inv").read_bytes().split(b"\n", 4)
    names = {}
    for line in zlib.decompress(packed).decode().splitlines():
        name, kind = re.match(r"(.+?) (\S+:\S+) ", line).groups()
        names.setdefault(kind, set()).add(name)
    return names


def test_every_page_is_reached_from_the_first(linked):
    sources = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "annotations/README.md")]
    sources += (ROOT / "docs").rglob("*.md")
    assert len(sources) > 20
    wanted = {path.relative_to(ROOT).with_suffix(".html").as_posix() for path in sources}
    assert wanted - linked.keys() == set()
    assert "docs/example-report.html" in linked


def test_every_link_of_every_page_leads_somewhere(site, linked):
    bad = [
        (name, path, anchor)
        for name, page in linked.items()
        for path, anchor in targets(name, page)
        if not (site / path).is_file()
        or (anchor and path in linked and anchor not in linked[path].anchors and not anchor.startswith(":~:"))
    ]
    assert bad == []


def test_nothing_of_the_site_is_fetched_from_elsewhere(linked):
    fetched = {
        link
        for page in linked.values()
        for link in page.links
        if urlsplit(link).netloc and urlsplit(link).path.endswith((".js", ".css", ".woff2", ".png", ".svg"))
    }
    assert fetched == set()


def test_the_reference_holds_every_command_and_every_option(site):
    from tif.cli import commands as registry
    from tif.cli import new_app

    def walk(command, path):
        yield path, command
        for name, child in getattr(command, "commands", {}).items():
            yield from walk(child, f"{path}-{name}")

    app = new_app()
    registry.register(app)
    wanted = {
        f"{path}.{name}"
        for path, command in walk(typer.main.get_command(app), "tif")
        for parameter in command.params
        if parameter.param_type_name == "option"
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    assert {"tif-train.--lr", "tif-spans-merge.--ours", "tif-report.--out"} <= wanted
    inventory = inventory_of(site)
    assert wanted - inventory["std:cmdoption"] == set()
    text = (site / "docs/reference/commands.html").read_text(encoding="utf-8")
    paths = {command.path for command in commands.commands()}
    assert {"tif annotate", "tif spans show"} <= paths
    assert [path for path in paths if f">{path}<" not in text] == []


def test_every_public_module_and_name_has_a_page(site):
    inventory = inventory_of(site)
    documented = {name for kind, names in inventory.items() if kind.startswith("py:") for name in names}
    modules = [name for name in api.public() if name != "tif"]
    assert len(modules) > 50
    missing = [name for name in modules if name not in inventory["py:module"]]
    assert missing == [], "name them in a page of docs/reference, beside `generate: modules`"
    described = [f"{module}.{name}" for module in modules for name in api.described(module)]
    assert len(described) > 200
    assert [name for name in described if name not in documented] == []


def test_the_python_page_links_every_name_of_the_api(site):
    page = (site / "docs/reference/python.html").read_text(encoding="utf-8")
    wanted = set(tif.__all__) - {"__version__"}
    assert wanted == api.exports().keys()
    assert [name for name in wanted if f">tif.{name}<" not in page.replace('<span class="pre">', "")] == []
    for name, (module, attribute) in api.exports().items():
        assert f"#{module}.{attribute}" in page, name


def test_an_options_class_shows_types_and_defaults_and_explains_each_option(site):
    page = (site / "docs/reference/train.html").read_text(encoding="utf-8")
    text = html.unescape(re.sub(r"<[^>]+>", "", page))
    start = text.index("class TrainOptions(")
    signature = text[start : text.index(")#", start)]
    for each in declared(TrainOptions):
        default = "" if each.required else f" = {each.default!r}"
        assert re.search(rf"^{each.name}: .*{re.escape(default)},$", signature, re.M), each.name
        assert " ".join(each.option.help.split()[:4]) in text[start:].replace("’", "'"), each.name
    assert "panel=" not in signature


class Oven(Options):
    """How it is heated."""

    degrees: Annotated[int, Option("How hot.", least=50, below=300)] = 180
    fuel: Annotated[Literal["wood", "gas"] | None, Option("What burns | or glows.", otherwise="what is there")] = None


class Cake(Options):
    """What is made."""

    name: Annotated[str, Option("Which cake.")]
    oven: Annotated[str, Option("The oven.")] = "stone"
    layers: Annotated[tuple[str, ...], Option("From below.")] = ()
    iced: Annotated[bool, Option("With icing.")] = False


def test_keys_of_a_config_file_come_from_the_options_classes(monkeypatch):
    app = typer.Typer()

    @command(app, "bake", parts=Components(by="oven", builtin={"stone": Oven}))
    def bake(options: Cake, oven: Options) -> None:
        """Bake."""

    @app.command()
    def eat() -> None:
        """Eat."""

    monkeypatch.setattr(commands, "application", lambda: app)
    lines = options.markdown().splitlines()
    assert lines == [
        "## tif bake",
        "",
        "| key | value | default | meaning |",
        "| --- | --- | --- | --- |",
        "| `name` | text | must be given | Which cake. |",
        "| `oven` | text | stone | The oven. |",
        "| `layers` | list of text | not set | From below. |",
        "| `iced` | true or false | false | With icing. |",
        "",
        '### tif bake, oven = "stone"',
        "",
        "| key | value | default | meaning |",
        "| --- | --- | --- | --- |",
        "| `degrees` | integer, from 50, below 300 | 180 | How hot. |",
        '| `fuel` | `"wood"`, `"gas"` | what is there | What burns \\| or glows. |',
    ]


def test_the_reference_holds_every_key_of_every_options_class(site):
    text = (site / "docs/reference/options.html").read_text(encoding="utf-8")
    classes = [command.classes for command in commands.commands() if command.classes]
    every = [cls for common, parts in classes for cls in (common, *(parts.builtin.values() if parts else ()))]
    missing = [each.name for cls in every for each in declared(cls) if f">{each.name}<" not in text]
    assert missing == []


def block(page, language):
    text = (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")
    return re.search(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)[1]


def test_the_example_of_a_config_file_can_be_read(tmp_path):
    file = tmp_path / "example.toml"
    file.write_text(block("options.md", "toml"))
    given = read_config(file, "train")
    assert TrainOptions(masks="a.parquet", model="m", out="o", base_model="b", **given).objective == given["objective"]


def test_the_example_in_python_makes_options_that_are_accepted():
    calls = [node for node in ast.walk(ast.parse(block("python.md", "python"))) if isinstance(node, ast.Call)]
    makers = [call for call in calls if call.func.attr.endswith("Options")]
    assert len(makers) == 4
    for call in makers:
        assert isinstance(eval(ast.unparse(call), {"tif": tif}), Options)


@pytest.mark.parametrize(
    ("docstring", "wanted"),
    [
        ("Loads `x.y` of `a b`.", r"Loads \ :maybe:`x.y`\  of \ ``a b``\ ."),
        ("A *.tmp file, foo_ and a|b.", r"A \*.tmp file, foo\_ and a\|b."),
        ("Like this:\n\n    f(*x)\n    g(`y`)\n\nThen.", "Like this:\n\n\n::\n\n    f(*x)\n    g(`y`)\n\nThen."),
        ("Like this:\n    f(*x)\n\nThen.", "Like this:\n\n::\n\n    f(*x)\n\nThen."),
        ("Args:\n    x: of `y`.\n\n        more", "Args:\n    x: of \\ :maybe:`y`\\ .\n\n        more"),
    ],
)
def test_a_docstring_becomes_what_sphinx_reads(docstring, wanted):
    assert "\n".join(api.restructured(docstring.split("\n"))) == wanted


def test_a_list_of_links_is_the_menu():
    text = "# Part\n\n- [A b](one.md): first.\n- [C](../two/three.md), and [D](four.md).\n\nSee [E](five.md).\n"
    assert pages.listed("docs/part", text) == {"docs/one": "A b", "two/three": "C"}


@pytest.mark.parametrize("wrong", ["[gone](gone.md)", "[gone](#gone)", "![gone](gone.png)"])
def test_a_broken_link_fails_the_build(tmp_path, wrong):
    page, part = tmp_path / "README.md", tmp_path / "docs" / "part.md"
    part.parent.mkdir()
    part.write_text("# Part\n\n[back](../README.md#title)\n")
    page.write_text("# Title\n\n[there](docs/part.md)\n")
    assert build(tmp_path, tmp_path / "out", "-D", "parts=docs/part").returncode == 0
    page.write_text(f"# Title\n\n{wrong}\n")
    done = build(tmp_path, tmp_path / "out", "-D", "parts=docs/part")
    assert done.returncode != 0
    assert "gone" in done.stderr
