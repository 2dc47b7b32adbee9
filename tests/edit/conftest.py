"""The set that the tests correct."""

import pytest

from tests.edit.bees import new_set


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "bees.parquet"
    new_set(path)
    return path
