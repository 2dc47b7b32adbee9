"""Keep secrets out of every text that comes from the judge's server: messages, files, provenance.

A server may repeat the API key, or a password of an address, as it came or encoded.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from html.entities import codepoint2name
from typing import Final, Self
from urllib.parse import unquote_plus, urlsplit
from urllib.request import getproxies

HIDDEN: Final = "***"

_LEAST: Final = 4
"""Shorter values, such as a key `x` for a server that needs none, are no secrets."""
_LEAST_IN_REPLIES: Final = 8
"""The same for replies, whose words become spans: `ollama` and `EMPTY` are words."""

_PLAIN: Final = re.compile(r"\d{4}-\d{2}-\d{2}(?:-\w+)?|[a-z]+|[\d.]+", re.IGNORECASE)
"""Values of a query that are no secrets: dates such as Azure's api-version, words, numbers."""

_CONTROL: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Secrets:
    """The values that no file and no message may contain."""

    values: frozenset[str]

    @classmethod
    def of(cls, url: str) -> Self:
        """Return the secrets of a run: the API key, and those in the judge's address and in the proxies' addresses."""
        values = {os.environ.get("OPENAI_API_KEY", "")}
        for each in (url, os.environ.get("OPENAI_BASE_URL", ""), *getproxies().values()):
            values |= set(_in_url(each))
        return cls(frozenset(value for value in values if len(value) >= _LEAST))

    def hidden(self, text: str) -> str:
        """Return a message without the secrets, in any encoding."""
        return self._all.sub(HIDDEN, text) if self._all is not None else text

    def reply(self, text: str) -> str:
        """Return a judge's reply without the secrets, as text that every file can contain."""
        text = self._long.sub(HIDDEN, text) if self._long is not None else text
        return _SURROGATE.sub("\ufffd", text)

    def short(self, text: str, longest: int = 200) -> str:
        """Return a server's text as one short line without the secrets."""
        # A cut before this search could leave a part of a secret, so the cut keeps room for one.
        room = 2 * longest + 16 * max((len(value) for value in self.values), default=0)
        line = _CONTROL.sub(" ", _SURROGATE.sub("\ufffd", self.hidden(text[:room])[: 2 * longest])).strip()
        return line if len(line) <= longest else line[: longest - 3] + "..."

    @cached_property
    def _all(self) -> re.Pattern[str] | None:
        return _pattern(self.values)

    @cached_property
    def _long(self) -> re.Pattern[str] | None:
        return _pattern(value for value in self.values if len(value) >= _LEAST_IN_REPLIES)


def _in_url(url: str) -> Iterator[str]:
    """Yield what may be secret in an address: user and password, the values of its query, its fragment."""
    url = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return
    login = parts.netloc.rpartition("@")[0]
    user, _, password = login.partition(":")
    yield from _decoded(password or user)
    if login:
        yield base64.b64encode(unquote_plus(login).encode()).decode().rstrip("=")
    for part in parts.query.split("&"):
        value = part.partition("=")[2] or part
        if not _PLAIN.fullmatch(value):
            yield from _decoded(value)
    yield from _decoded(parts.fragment)


def _decoded(value: str) -> tuple[str, str]:
    return value, unquote_plus(value)


def _pattern(values: Iterable[str]) -> re.Pattern[str] | None:
    """Return a pattern of the values and their encodings; None for no value.

    Each character may be escaped in its own way: as in JSON, Python, HTML or an address. A complete value may also be
    in hexadecimal digits or in Base64, where it may follow other bytes.
    """
    forms: list[str] = []
    for value in sorted(values, key=len, reverse=True):
        raw = value.encode("utf-8", "surrogatepass")
        forms.append("".join(_character(char) for char in value))
        forms.append(raw.hex())
        for before in range(3):
            encoded = base64.b64encode(b"\0" * before + raw).decode()
            # The first and last digits depend on the bytes before and after the value.
            inner = encoded[(0, 2, 3)[before] : len(encoded) - (0, 3, 2)[(before + len(raw)) % 3]]
            forms.append(re.escape(inner).replace(r"\+", r"[+\-]").replace("/", "[/_]"))
    return re.compile("|".join(forms), re.IGNORECASE) if forms else None


def _character(char: str) -> str:
    code = ord(char)
    forms = [
        rf"\\*{re.escape(char)}",
        "".join(f"%(?:25)*{byte:02x}" for byte in char.encode("utf-8", "surrogatepass")),
        rf"\\+(?:u\{{?0*{code:x}\}}?|x{code:02x}|{code:03o})",
        rf"&(?:amp;)*\#(?:0*{code}|x0*{code:x});?",
    ]
    if char == " ":
        forms.append(r"\+")
    if code in codepoint2name:
        forms.append(f"&(?:amp;)*{codepoint2name[code]};")
    return f"(?:{'|'.join(forms)})"


__all__ = ["HIDDEN", "Secrets"]
