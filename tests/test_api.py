"""The Python API: lazily imported, complete, and the same as the command line."""

import inspect
import subprocess
import sys

import pytest

import tif
from tif.options import Options


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_tif_imports_nothing_of_it():
    code = "import sys, tif; print(sorted(m for m in sys.modules if m.startswith('tif.')), 'numpy' in sys.modules)"
    assert python(code) == "[] False"


@pytest.mark.parametrize("name", sorted(set(tif.__all__) - {"__version__"}))
def test_every_name_is_there_and_documented(name):
    thing = getattr(tif, name)
    assert inspect.getdoc(thing)
    assert callable(thing)
    assert name in dir(tif)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'tif' has no attribute 'unlearn'"):
        _ = tif.unlearn


def test_options_of_the_api_are_those_of_the_command_line():
    classes = [getattr(tif, name) for name in tif.__all__ if name.endswith("Options")]
    assert len(classes) == 11
    assert all(issubclass(cls, Options) for cls in classes)
    assert {"AnnotateOptions", "TrainOptions", "EvaluateOptions", "ReportOptions"} <= {cls.__name__ for cls in classes}


def test_a_function_with_the_name_of_a_package_can_be_called_whatever_was_imported_first():
    for first in ("pass", "import tif.annotate.align", "import tif.annotate.request"):
        code = (
            f"{first}\nimport tif\n"
            "try:\n    tif.annotate(tif.AnnotateOptions(dataset='nowhere.jsonl', method='manual'))\n"
            "except tif.errors.TifError as error:\n    print(error)"
        )
        assert "nowhere.jsonl" in python(code.replace("import tif\n", "import tif, tif.errors\n"))
