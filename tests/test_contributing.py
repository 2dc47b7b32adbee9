"""CONTRIBUTING.md: every example is applied to a copy of the code, and works there."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tif

ROOT = Path(tif.__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
PARTS = [title for title in SECTIONS if title.startswith("Add ")]
pytestmark = pytest.mark.slow


def blocks(body, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", body, re.M | re.S)


def new_files(body):
    """The new files of an example: path and content."""
    for block in blocks(body, "python"):
        first, content = block.split("\n", 1)
        yield first.removeprefix("# "), content


def hunks(body):
    """The changes of an example: path, the lines before, the lines after."""
    for block in blocks(body, "diff"):
        first, content = block.split("\n", 1)
        for hunk in content.split("@@\n"):
            lines = hunk.splitlines(keepends=True)
            before = "".join(line[1:] for line in lines if line[0] in " -")
            after = "".join(line[1:] for line in lines if line[0] in " +")
            yield first.removeprefix("--- "), before, after


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The code with every example applied."""
    root = tmp_path_factory.mktemp("contributed")
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("tif", "tests"):
        shutil.copytree(ROOT / name, root / name, ignore=ignore)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, root / name)
    for title in PARTS:
        for path, content in new_files(SECTIONS[title]):
            assert not (root / path).exists(), f"{title}: {path} exists"
            assert (root / path).parent.is_dir(), f"{title}: {path} has no folder"
            (root / path).write_text(content, encoding="utf-8")
        for path, before, after in hunks(SECTIONS[title]):
            text = (root / path).read_text(encoding="utf-8")
            assert text.count(before) == 1, f"{title}: not once in {path}:\n{before}"
            (root / path).write_text(text.replace(before, after), encoding="utf-8")
    return root


def run(root, *arguments):
    command = [sys.executable, "-m", *map(str, arguments)]
    environment = {"PYTHONPATH": str(root), "PATH": str(Path(sys.executable).parent), "HOME": str(root)}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)


def test_each_kind_of_part_has_an_example():
    assert [f"Add {part}" for part in ("an annotator", "an objective", "a format", "a metric", "a benchmark")] == PARTS
    for title in PARTS:
        assert any(path.startswith("tests/") for path, _ in new_files(SECTIONS[title])), title
        assert list(hunks(SECTIONS[title])), title


def added(start):
    return [path for title in PARTS for path, _ in new_files(SECTIONS[title]) if path.startswith(start)]


def test_the_examples_pass_their_own_tests(copy):
    tests = added("tests/")
    done = run(copy, "pytest", "-v", "-p", "no:cacheprovider", *tests)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path for path in tests if f"{path} ." not in done.stdout] == []


def test_the_examples_keep_the_order_of_imports(copy):
    chosen = "imports_go_down or wings or detour or help_imports_nothing or hub_ner"
    done = run(copy, "pytest", "-q", "-p", "no:cacheprovider", "tests/test_architecture.py", "-k", chosen)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_examples_are_typed_and_in_style(copy):
    everywhere = ["tif", *added("tests/")]
    changed = sorted({*added("tif/"), *(path for title in PARTS for path, _, _ in hunks(SECTIONS[title]))})
    for arguments in (["ruff", "check", *everywhere], ["ruff", "format", "--check", *everywhere], ["mypy", *changed]):
        done = run(copy, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_make_target_is_explained():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"^\.PHONY: (.+)$", makefile, re.M)[1].split()
    assert "docs" in targets
    assert [target for target in targets if f"| `make {target}` |" not in PAGE] == []


def test_the_list_of_rooms_is_that_of_the_wall_test():
    from tests.test_architecture import FLOORS

    listed = [set(re.findall(r"`(\w+)`", line)) for line in re.findall(r"^\d\. ([^:]+):", PAGE, re.M)]
    floors = [set(rooms) - {"__init__", "__main__"} for rooms in reversed(FLOORS)]
    assert listed == [rooms for rooms in floors if rooms]
