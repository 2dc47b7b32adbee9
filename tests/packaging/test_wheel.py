"""The wheel holds the package, with the page, the demo data and the licence; the sdist holds the checkout."""

import tarfile
import zipfile
from email.parser import HeaderParser

import pytest

pytestmark = pytest.mark.install


def files(source, folder="."):
    # setuptools writes its own metadata into the source that it builds from.
    paths = (path.relative_to(source) for path in (source / folder).rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if not path.parts[0].endswith(".egg-info")}


def test_the_wheel_holds_the_package_and_nothing_else(built):
    with zipfile.ZipFile(built.wheel) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    wanted = files(built.source, "tif")
    assert {"tif/py.typed", "tif/edit/static/edit.js", "tif/data/demo.jsonl"} <= wanted
    assert names == wanted


def test_the_wheel_has_the_licence_and_the_command(built):
    with zipfile.ZipFile(built.wheel) as wheel:
        (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        folder = metadata.removesuffix("METADATA")
        headers = HeaderParser().parsestr(wheel.read(metadata).decode())
        assert wheel.read(f"{folder}licenses/LICENSE") == (built.source / "LICENSE").read_bytes()
        assert wheel.read(f"{folder}entry_points.txt").decode().split("\n")[:2] == [
            "[console_scripts]",
            "tif = tif.cli:script",
        ]
    assert (headers["Name"], headers["License-Expression"]) == ("tif-unlearning", "MIT")


def test_the_sdist_holds_all_sources_tests_and_docs(built):
    with tarfile.open(built.sdist) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    wanted = files(built.source)
    assert {"Makefile", "constraints.txt", "docs/metrics.md", "tests/packaging/test_wheel.py"} <= wanted
    assert wanted - names == set()
