"""On the lowest versions (`make test-lowest`): every floor of pyproject.toml is the version that the tests ran with."""

import tomllib
from importlib.metadata import version

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.packaging.conftest import ROOT

pytestmark = pytest.mark.lowest

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"].keys() - {"all", "real"}
LINES = {*PROJECT["dependencies"], *(line for extra in EXTRAS for line in PROJECT["optional-dependencies"][extra])}
REQUIREMENTS = [Requirement(line) for line in sorted(LINES) if not line.startswith(f"{PROJECT['name']}[")]
# The Makefile says why torch is not the lowest.
TESTED = [requirement for requirement in REQUIREMENTS if requirement.name != "torch"]


@pytest.mark.parametrize("requirement", TESTED, ids=str)
def test_a_floor_is_the_version_that_is_tested(requirement: Requirement) -> None:
    """A floor below the installed version was not tested, for example because another package asks for more."""
    (floor,) = (Version(part.version) for part in requirement.specifier if part.operator == ">=")
    tested = Version(version(requirement.name))
    assert tested.release[: len(floor.release)] == floor.release, f"raise the floor to {tested}"
