"""Option values with a text form, such as `floor:0.95`. The text is parsed once, when the options are created."""

from __future__ import annotations

from typing import Any, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from tif.errors import UsageError

FAULT = "written"
"""Type of pydantic's error for a text that cannot be parsed."""


class Written:
    """An option type whose values have a text form. `of` parses the text, and `str` returns it.

    The command line, config files and records contain the text. The options contain the value.
    """

    __slots__ = ()

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the value of a text.

        Raises:
            UsageError: if the text has no value.
        """
        raise NotImplementedError

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validated, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def _validated(cls, value: object) -> Self:
        if isinstance(value, cls):
            return value
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError("input should be text")
        try:
            return cls.of(str(value))
        except UsageError as error:
            # pydantic adds the option's name. `_refusal` turns this error into a `UsageError` again.
            context = {"what": error.what, "hint": error.hint or ""}
            raise PydanticCustomError(FAULT, "{what}", context) from None


def shortest(number: float) -> str:
    """Return the shortest text that parses to the same number: `8` for 8.0, `0.05`, `1e-09`."""
    return repr(number).removesuffix(".0")


def counted(text: str) -> int | None:
    """Return the whole number above 0 that a text writes in ASCII digits; None for any other text."""
    return int(text) or None if text.isascii() and text.isdigit() else None


__all__ = ["FAULT", "Written", "counted", "shortest"]
