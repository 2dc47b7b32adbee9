"""Values that people write as text, such as `floor:0.95`: read once, where they enter."""

from __future__ import annotations

from typing import Any, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from tif.errors import UsageError

FAULT = "written"
"""Kind of pydantic's error for a text that cannot be read."""


class Written:
    """A type of an option whose values have a text form. `of` reads the text, and `str` gives it back.

    The command line, config files and records hold the text; the options hold the value.
    """

    __slots__ = ()

    @classmethod
    def of(cls, text: str) -> Self:
        """The value that a text means.

        Raises:
            UsageError: if it means none.
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
            # pydantic adds which option it is; the declaration of the options turns it into a `UsageError` again.
            context = {"what": error.what, "hint": error.hint or ""}
            raise PydanticCustomError(FAULT, "{what}", context) from None


def shortest(number: float) -> str:
    """The shortest text that gives a number back: `8` for 8.0, `0.05`, `1e-09`."""
    return repr(number).removesuffix(".0")


__all__ = ["FAULT", "Written", "shortest"]
