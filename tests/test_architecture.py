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
WINGS = ("annotate", "train", "eval")


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("wing", WINGS)
def test_wings_never_import_one_another(wing):
    others = tuple(f"tif.{other}" for other in WINGS if other != wing) + ("tif.cli", "tif.demo")
    files = list((ROOT / wing).rglob("*.py"))
    assert files
    bad = [
        (f.name, name) for f in files for name in imports(f) if f"{name}.".startswith(tuple(f"{o}." for o in others))
    ]
    assert bad == []


def test_nothing_shared_imports_a_wing():
    shared = [*ROOT.glob("*.py"), *(ROOT / "tokens").rglob("*.py")]
    wings = tuple(f"tif.{wing}." for wing in (*WINGS, "cli"))
    allowed = {"__main__.py"}
    bad = [
        (f.name, name)
        for f in shared
        if f.name not in allowed and not f.name.startswith("demo")
        for name in imports(f)
        if f"{name}.".startswith(wings)
    ]
    assert bad == []


@pytest.mark.parametrize("wing", ["train", "eval", "tokens"])
def test_training_and_evaluation_do_without_hub_ner_and_judge(wing):
    bad = [
        n
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


def modules():
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        if parts[-1] != "__main__":
            yield ".".join(parts).removesuffix(".__init__")


@pytest.mark.parametrize("name", list(modules()))
def test_every_module_has_a_docstring_and_an_honest_list_of_names(name):
    module = importlib.import_module(name)
    assert module.__doc__
    offered = getattr(module, "__all__", [])
    assert [n for n in offered if not hasattr(module, n)] == []
    assert len(set(offered)) == len(offered)
