"""The walls of the house: what may import what, and how light the front door is."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import tif

ROOT = Path(tif.__file__).parent
HEAVY = {"torch", "transformers", "spacy", "openai", "datasets"}
FLOORS = (
    {"callable", "errors", "escape", "console", "interrupt", "packages", "plugins", "text"},
    {"files", "options", "seal"},
    {"spans"},
    {"entities"},
    {"overlap", "records", "readers", "sources", "tokens"},
    {"sets"},
    {"edit", "annotate", "train", "eval"},
    {"demo", "trajectory", "__init__"},
    {"cli"},
    {"__main__"},
)
"""The rooms of the house, lowest floor first. An import goes down, or stays on its floor."""
WINGS = {"edit", "annotate", "train", "eval"}


def module_of(path):
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in ROOT.rglob("*.py")}


def imports(path):
    """Every name that a file imports, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules_imported(path):
    """The modules of tif that a file imports: `from a import b` means module a.b where there is one, else a."""
    for name in imports(path):
        while name and name not in MODULES:
            name = name.rpartition(".")[0]
        if name.split(".")[0] == "tif":
            yield name


def room(module):
    return module.split(".")[1] if "." in module else "__init__"


def floor(module):
    found = [number for number, rooms in enumerate(FLOORS) if room(module) in rooms]
    assert found, f"{module} has no floor: put its room into FLOORS"
    return found[0]


def test_imports_go_down():
    bad = [
        (module, imported)
        for module, path in MODULES.items()
        for imported in modules_imported(path)
        # `tif` itself has the version number, and imports nothing when it is imported.
        if imported != "tif" and floor(imported) > floor(module)
    ]
    assert bad == []


@pytest.mark.parametrize("wing", sorted(WINGS))
def test_wings_never_import_one_another(wing):
    files = list((ROOT / wing).rglob("*.py"))
    assert files
    bad = [
        (module_of(path), imported)
        for path in files
        for imported in modules_imported(path)
        if room(imported) in WINGS - {wing}
    ]
    assert bad == []


def test_no_module_imports_itself_by_a_detour():
    arrows = {module: set(modules_imported(path)) - {module, "tif"} for module, path in MODULES.items()}
    done = set()

    def walk(module, way):
        if module in way:
            circle = [*way[way.index(module) :], module]
            raise AssertionError(f"circle: {' -> '.join(circle)}")
        if module not in done:
            for imported in sorted(arrows[module]):
                walk(imported, [*way, module])
            done.add(module)

    for module in sorted(arrows):
        walk(module, [])


@pytest.mark.parametrize("wing", ["train", "eval", "tokens"])
def test_training_and_evaluation_do_without_hub_ner_and_judge(wing):
    bad = [
        (f.name, n)
        for f in (ROOT / wing).rglob("*.py")
        for n in imports(f)
        if n.split(".")[0] in HEAVY - {"torch", "transformers"}
    ]
    assert bad == []


@pytest.mark.parametrize("arguments", [["--help"], ["spans", "--help"], ["annotate", "--help"], ["train", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    code = (
        "import sys\nfrom tif.cli import main\n"
        f"assert main({arguments!r}) == 0\n"
        f"print(sorted(set(sys.modules) & {HEAVY!r}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "Usage" in done.stdout


def test_help_takes_little_processor_time_beside_python_itself():
    """A ratio, not a time: help within a few starts of an interpreter that imports typer and rich."""
    import resource

    def cpu(code):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    bare = min(cpu("import typer, rich.console, rich.table, rich.markdown") for _ in range(3))
    ours = min(cpu("from tif.cli import main; main(['--help'])") for _ in range(3))
    assert ours < 2.5 * bare


@pytest.mark.parametrize("name", sorted(name for name in MODULES if not name.endswith("__main__")))
def test_every_module_has_a_docstring_and_an_honest_list_of_names(name):
    module = importlib.import_module(name)
    assert module.__doc__
    offered = getattr(module, "__all__", [])
    assert [n for n in offered if not hasattr(module, n)] == []
    assert len(set(offered)) == len(offered)
