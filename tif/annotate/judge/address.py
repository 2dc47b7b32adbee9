"""The judge's address, and the proxy on the way to it.

Both may contain secrets, so messages show only parts of them.
"""

from __future__ import annotations

import os
import re
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Final, Self
from urllib.parse import SplitResult, quote, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from tif.errors import UsageError, reason

_SAFE: Final = "%/:?[]@!$&'()*+,;=~"
"""Characters of a query that stay as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """The address of an OpenAI-compatible endpoint."""

    url: str = field(repr=False)
    """The address without query and fragment. It may contain a user name and a password."""
    query: str = field(default="", repr=False)
    """The part after `?`, which every request gets, such as Azure's `api-version=...`."""
    shown: str
    """The address without user name, password, query and fragment."""

    @classmethod
    def of(cls, text: str, where: str) -> Self:
        """Return the parts of an address.

        Args:
            text: the address. A fragment is left out: it is never sent.
            where: the option or variable that the address comes from.

        Raises:
            UsageError: if it is not an http address.
        """
        url = _split(text.strip(), where, "Give an http or https address, such as http://localhost:8000/v1.")
        shown = url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="").geturl()
        return cls(url=url._replace(query="", fragment="").geturl(), query=quote(url.query, safe=_SAFE), shown=shown)

    @property
    def secure(self) -> bool:
        """Whether the connection is encrypted."""
        return self.url.startswith("https:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """An HTTP proxy."""

    url: str
    """The proxy's address without user name and password."""
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def on_the_way(cls, url: str) -> Self | None:
        """Return the proxy for an address, by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY; None for no proxy.

        Raises:
            UsageError: for a proxy that tif cannot use. A direct request would send the text around the proxy.
        """
        target = urlsplit(url)
        proxies = getproxies()
        kind = target.scheme if proxies.get(target.scheme) else "all"
        given = proxies.get(kind)
        if not given or _bypassed(target, proxies.get("no", "")):
            return None
        name = next((name for name in (f"{kind}_proxy", f"{kind}_proxy".upper()) if os.environ.get(name)), "proxy")
        hint = "Name an http proxy, such as http://proxy.example:3128, or list the judge's host in NO_PROXY."
        if "://" in given and not given.lower().startswith(("http://", "https://")):
            scheme = given.partition("://")[0][:20]
            raise UsageError(f"{scheme} proxies are not supported", where=name, hint=hint)
        proxy = _split(given if "://" in given else f"http://{given}", name, hint)
        host = proxy.netloc.rpartition("@")[2]
        return cls(
            url=f"{proxy.scheme}://{host}",
            user=unquote(proxy.username or ""),
            password=unquote(proxy.password or ""),
        )


def tls_context() -> ssl.SSLContext:
    """Return the certificates to trust: those of SSL_CERT_FILE and SSL_CERT_DIR, else those of the `certifi` package.

    Raises:
        UsageError: if they cannot be read.
    """
    from httpx2 import create_ssl_context

    try:
        return create_ssl_context()
    except OSError as error:  # ssl.SSLError is one too
        where = next((name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)), "certificates")
        raise UsageError(
            "the certificates cannot be read",
            where=(where, os.environ.get(where, "")),
            why=reason(error),
            hint="Name a file of certificates in PEM form, or unset the variable.",
        ) from None


def _split(text: str, where: str, hint: str) -> SplitResult:
    """Return the parts of an http address. Messages show it without what may be secret."""
    shown = re.split(r"[?#]", text)[0].rpartition("@")[2][:200]
    try:
        url = urlsplit(text)
        port = url.port
        (url.hostname or "").encode("idna")
    except ValueError as error:
        why = str(error) if "ort" in str(error) else "the host is malformed"
        raise UsageError(f"{shown!r} is not an http address", where=where, why=why, hint=hint) from None
    if url.scheme not in ("http", "https") or not url.hostname:
        raise UsageError(f"{shown!r} is not an http address", where=where, hint=hint)
    if port == 0:
        raise UsageError(f"{shown!r} is not an http address", where=where, why="port 0 cannot be reached", hint=hint)
    if re.search(r"[\s\x00-\x1f\x7f]", text):
        raise UsageError(f"{shown!r} is not an http address", where=where, why="it contains white space", hint=hint)
    return url


def _bypassed(target: SplitResult, no_proxy: str) -> bool:
    """Return whether NO_PROXY lists a host: by name, by name and port, by address or by a network's range."""
    host = target.hostname or ""
    if proxy_bypass(host) or (target.port and proxy_bypass(f"{host}:{target.port}")):
        return True
    for entry in (part.strip().strip("[]") for part in no_proxy.split(",")):
        if entry == "*":
            return True
        with suppress(ValueError):
            if ip_address(host) in ip_network(entry, strict=False):
                return True
    return False


__all__ = ["Address", "Proxy", "tls_context"]
