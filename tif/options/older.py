"""The options in the record of an older tif, under the names and meanings of today."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

_RENAMED: Final = {
    "zero_uw": "unmarked",
    "floor_model": "base_model",
    "base": "base_model",
    "reference_model": "base_model",
}


def of_today(config: Mapping[str, JsonValue], schema: int) -> dict[str, JsonValue]:
    """Return the options of a record under today's names.

    Args:
        config: the options, as the record has them.
        schema: the record's schema version.
    """
    if schema < 2:
        config = _second(config)
    if schema < 3 and config.get("objective") == "rmu":
        config = _third(config)
    return dict(config)


def _second(config: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    new = {_RENAMED.get(name, name): value for name, value in config.items()}
    if "eos" in new:
        new["supervise_eos"] = new.pop("eos") == "gw"
    if "label" in new:
        label = new.pop("label")
        new["labels"] = label if label is None or isinstance(label, list) else [label]
    if new.get("objective") == "tif":
        new["objective"] = "anchored"
    return new


def _third(config: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Count RMU's layers from 0. Before, they were numbered as hidden states are, whose first is the model's input."""
    layer = config.get("rmu_layer", 7)
    return {**config, "rmu_layer": max(layer - 1, 0) if isinstance(layer, int) else layer}


__all__ = ["of_today"]
