"""Decide which type of identifier a number is, by its check digits, its form and the words before it."""

from __future__ import annotations

import base64
import binascii
import re
from functools import cache
from importlib import import_module, metadata
from ipaddress import ip_address
from typing import Any, Final

from tif.annotate.rules.fields import field_type

_REGIONS: Final = {"en": ("US", "GB"), "fr": ("FR", "BE", "CH"), "de": ("DE", "AT", "CH"), "es": ("ES", "MX", "AR")}
"""Regions whose telephone numbers a language's texts write without a country code."""

_NATIONAL: Final = {
    "en": ("us.ssn", "us.itin", "gb.nhs"),
    "fr": ("fr.nir", "fr.nif"),
    "de": ("de.idnr",),
    "es": ("es.nif", "es.dni", "es.nie"),
}
"""Modules of python-stdnum for the numbers that states give people, by language."""

_WORD: Final = re.compile(r"[^\W\d_]+")
_DATE: Final = re.compile(r"(?:(?:19|20)\d\d[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?[-/.](?:19|20)?\d\d)")
_SOCIAL: Final = re.compile(r"\d{3}-\d\d-\d{4}")
"""The form of a US social security number. Invented ones are often invalid, and remain what they look like."""
_CLOCK: Final = re.compile(r"\d\d?:\d\d(?::\d\d)?")
_YEAR: Final = re.compile(r"(?:1[5-9]|20)\d\d")
_NEAR: Final = 40
"""Code points before a number in which its field name is looked for."""


def identifier(text: str, start: int, end: int, *, language: str = "en") -> str:
    """Return the entity type of a number or code.

    Args:
        text: the text around it.
        start: first code point.
        end: one past the last code point.
        language: the text's language.
    """
    written = text[start:end]
    digits = sum(map(str.isdigit, written))
    before = _type_before(text[max(0, start - _NEAR) : start])
    if _DATE.fullmatch(written):
        return before if before in ("DATE_OF_BIRTH",) else "DATE"
    if _CLOCK.fullmatch(written):
        return "DATE"
    if digits >= 6:
        if before:
            return before
        if is_iban(written) or _is_card(written):
            return "ACCOUNT"
        if _SOCIAL.fullmatch(written) or _is_national(written, language):
            return "GOV_ID"
        if written.startswith("+") or _is_phone(written, language):
            return "PHONE"
        return "RECORD_ID"
    if before in ("GOV_ID", "ACCOUNT", "RECORD_ID", "SECRET", "AGE", "ADDRESS"):
        return before
    if _YEAR.fullmatch(written):
        return "DATE"
    return "RECORD_ID" if digits > 3 and any(map(str.isalpha, written)) else "AMOUNT"


def is_iban(written: str) -> bool:
    """Return whether the text is an IBAN with right check digits."""
    return written[:2].isalpha() and _valid("iban", written)


def is_ip(written: str) -> bool:
    """Return whether the text is an IP address."""
    try:
        ip_address(written)
    except ValueError:
        return False
    return True


def encodes_text(written: str) -> bool:
    """Return whether the text is Base64 of readable text, such as a name that hides."""
    if len(written) % 4 or (written.isalpha() and (written.islower() or written.isupper() or written.istitle())):
        return False
    try:
        decoded = base64.b64decode(written, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return False
    return decoded.isprintable()


def libraries() -> dict[str, str | None]:
    """Return the versions of the libraries that check numbers; None for a missing one. They change spans' types."""
    return {name: _version(name) for name in ("phonenumbers", "python-stdnum")}


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _type_before(text: str) -> str:
    """Return the type that the nearest field name before a number gives it; "" if there is none."""
    for word in reversed(_WORD.findall(text)[-5:]):
        if type_ := field_type(word):
            return type_
    return ""


def _is_card(written: str) -> bool:
    compact = re.sub(r"[ -]", "", written)
    return compact.isdecimal() and 13 <= len(compact) <= 19 and _valid("luhn", compact)


def _is_national(written: str, language: str) -> bool:
    return any(_valid(module, written) for module in _NATIONAL.get(language, ()))


def _is_phone(written: str, language: str) -> bool:
    phonenumbers = _module("phonenumbers")
    if phonenumbers is None:
        return False
    for region in _REGIONS.get(language, ("US",)):
        try:
            if phonenumbers.is_possible_number(phonenumbers.parse(written, region)):
                return True
        except phonenumbers.NumberParseException:
            continue
    return False


def _valid(module: str, written: str) -> bool:
    checks = _module(f"stdnum.{module}")
    return checks is not None and bool(checks.is_valid(written))


@cache
def _module(name: str) -> Any:
    """Return a module; None if its library is not installed. Then the words before a number decide its type."""
    try:
        return import_module(name)
    except ImportError:
        return None


__all__ = ["encodes_text", "identifier", "is_iban", "is_ip", "libraries"]
