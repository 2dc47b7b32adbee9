"""How many layers and experts a model's config may ask for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tif.errors import InputError
from tif.readers import read_json

_COUNT: Final = re.compile(r"(?:^|_)(?:layers?|experts|blocks)$")
"""Names of fields such as `num_hidden_layers`, `n_layer`, `num_local_experts`."""
_LEAST: Final = {"num_hidden_layers": 1, "num_layers": 1, "n_layers": 1, "n_layer": 1}
_MOST: Final = 10_000


def check_size(folder: Path) -> None:
    """Refuse a config with more layers or experts than any model has: building them would take hours. Or without any.

    Raises:
        InputError: naming the field.
    """
    content = read_json(folder / "config.json", constants=True)
    parts = [("", content)]
    while parts:
        path, part = parts.pop()
        for name, value in part.items() if isinstance(part, dict) else ():
            parts.append((f"{path}{name}.", value))
            if _COUNT.search(name) and isinstance(value, int) and not _LEAST.get(name, 0) <= value <= _MOST:
                raise InputError(
                    f"asks for {value:.3g} layers or experts",
                    where=(str(folder / "config.json"), f"{path}{name}"),
                    why=f"a model has {_LEAST.get(name, 0)} to {_MOST:,}",
                    hint="Restore config.json from a copy.",
                )


__all__ = ["check_size"]
