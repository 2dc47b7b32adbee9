"""Options from a config file: TOML, JSON, or the record of an earlier run."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tif.errors import InputError, UsageError
from tif.options.declare import Options, declared

O = TypeVar("O", bound=Options)  # noqa: E741


def read_config(path: str | Path, command: str) -> dict[str, Any]:
    """The options that a config file gives to a command, not yet checked.

    A TOML or JSON file has the options' names as keys (`batch_size` or `batch-size`), at the top or in a table named
    after the command. A record (`run.json`, `eval.json`) gives the options of the run that it describes.

    Raises:
        InputError: for a file that cannot be read.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
        content = tomllib.loads(raw.decode()) if path.suffix == ".toml" else json.loads(raw)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from None
    except ValueError as error:
        kind = "TOML" if path.suffix == ".toml" else "JSON"
        raise InputError(f"is not {kind}", where=str(path), why=str(error)[:160]) from None
    if not isinstance(content, dict):
        raise InputError("holds no options", where=str(path), why="the file is not an object of names and values")
    if "schema" in content and isinstance(content.get("config"), dict):
        content = content["config"]
    elif isinstance(content.get(command), dict):
        content = content[command]
    return {str(name).replace("-", "_"): value for name, value in content.items()}


def merge(options: type[O], given: Mapping[str, Any], config: str | Path | None, command: str) -> O:
    """Options from the command line and a config file.

    Args:
        options: the class.
        given: what the command line gave.
        config: the file, if one was named.
        command: the command's name, for a file that has a table of this name.

    Raises:
        UsageError, InputError: as `Options` and `read_config`; an error of a value from the file names the file.
    """
    from_file = {} if config is None else without_defaults([options], read_config(config, command))
    with naming(config, from_file.keys() - given.keys(), [options]):
        return options(**{**from_file, **given})


def without_defaults(classes: Iterable[type[Options]], given: Mapping[str, Any]) -> dict[str, Any]:
    """By the fields' names, and without those that are the default: a record lists every option, given or not."""
    known = {each.name: each for options in classes for each in declared(options)}
    by_flag = {each.flag.removeprefix("--").replace("-", "_"): each.name for each in known.values()}
    named = {by_flag.get(name, name): value for name, value in given.items()}
    return {name: value for name, value in named.items() if name not in known or not known[name].is_default(value)}


@contextmanager
def naming(config: str | Path | None, from_file: Collection[str], classes: Iterable[type[Options]]) -> Iterator[None]:
    """Put the config file's name before an error of an option that the file gave."""
    try:
        yield
    except UsageError as error:
        flags = {each.flag: each.name for options in classes for each in declared(options)}
        name = flags.get(error.where[0]) if error.where else None
        if config is not None and (name is None or name in from_file):
            raise error.within(str(config)) from None
        raise


__all__ = ["merge", "naming", "read_config", "without_defaults"]
