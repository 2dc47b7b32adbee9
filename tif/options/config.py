"""Read options from a config file: TOML, JSON, or the record of an earlier run."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tif import files
from tif.errors import InputError, UsageError, reason
from tif.options.declare import Options, declared
from tif.options.older import of_today

O = TypeVar("O", bound=Options)  # noqa: E741


def read_config(path: str | Path, command: str) -> dict[str, object]:
    """Return the options of a command in a config file, unchecked.

    The keys of a TOML or JSON file are the options' names (`batch_size` or `batch-size`), at the top or in a table with
    the command's name. A record (`run.json`, `eval.json`) gives the options of its run, also that of an older tif.

    Raises:
        InputError: for a file that cannot be read.
    """
    path = Path(path)
    try:
        raw = files.read(path, most=files.MOST_BY_HAND)
        content = tomllib.loads(raw.decode()) if path.suffix == ".toml" else json.loads(raw)
    except OSError as error:
        raise InputError(f"cannot be read: {reason(error)}", where=str(path)) from None
    except (ValueError, RecursionError) as error:
        kind = "TOML" if path.suffix == ".toml" else "JSON"
        raise InputError(f"is not {kind}", where=str(path), why=str(error)[:160]) from None
    if not isinstance(content, dict):
        raise InputError("contains no options", where=str(path), why="the file is not an object of names and values")
    if "schema" in content and isinstance(content.get("config"), dict):
        schema = content["schema"]
        content = of_today(content["config"], schema if isinstance(schema, int) else 1)
    elif isinstance(content.get(command), dict):
        content = content[command]
    return {str(name).replace("-", "_"): value for name, value in content.items()}


def merge(options: type[O], given: Mapping[str, object], config: str | Path | None, command: str) -> O:
    """Return the options from the command line and a config file. The command line wins.

    Args:
        options: the options class.
        given: the options of the command line.
        config: the config file, or None.
        command: the command's name. A file may have a table with this name.

    Raises:
        UsageError: as `Options`. An error in a value from the file names the file.
        InputError: as `read_config`.
    """
    from_file = {} if config is None else without_defaults([options], read_config(config, command))
    with naming(config, from_file.keys() - given.keys(), [options]):
        return options(**{**from_file, **given})


def without_defaults(classes: Iterable[type[Options]], given: Mapping[str, object]) -> dict[str, object]:
    """Return the options by field name, without defaults: a record lists every option, even one that was not given."""
    known = {each.name: each for options in classes for each in declared(options)}
    by_flag = {each.flag.removeprefix("--").replace("-", "_"): each.name for each in known.values()}
    named = {by_flag.get(name, name): value for name, value in given.items()}
    return {name: value for name, value in named.items() if name not in known or not known[name].is_default(value)}


@contextmanager
def naming(config: str | Path | None, from_file: Collection[str], classes: Iterable[type[Options]]) -> Iterator[None]:
    """Add the config file's name to the error of an option from the file."""
    try:
        yield
    except UsageError as error:
        flags = {each.flag: each.name for options in classes for each in declared(options)}
        name = flags.get(error.where[0]) if error.where else None
        if config is not None and (name is None or name in from_file):
            raise error.within(str(config)) from None
        raise


__all__ = ["merge", "naming", "read_config", "without_defaults"]
