"""Read an entities policy from a TOML file. Each fault is one line: the file, the key, why, and what to write."""

from __future__ import annotations

import difflib
import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from tif import files
from tif.entities import CROSSWALK, ENTITY_TYPES, entity_type
from tif.entities.policy import ACTIONS, Action, EntitiesPolicy, Rule
from tif.errors import InputError, reason, short
from tif.spans import UW

_RULE: Final = ("action", "threshold", "allow", "allow_patterns", "deny", "deny_patterns")
_TOP: Final = ("default", "types")


def read_policy(path: str | Path) -> EntitiesPolicy:
    """Read an entities policy.

    `default` is an action, or a table like that of a type. A type takes from it the action and the threshold that its
    own table leaves out, and its allow lists are added. A type may be given by its action alone.

    Raises:
        InputError: for a file that cannot be read or is not TOML, an unknown key or type, a value of the wrong form, a
            threshold outside 0..1, an invalid pattern, or a deny list of a type whose words are kept.
    """
    path = Path(path)
    try:
        raw = files.read(path, most=files.MOST_BY_HAND)
    except OSError as error:
        raise InputError(
            f"cannot be read: {reason(error)}", where=str(path), hint="Give the path of a TOML file."
        ) from None
    try:
        content = tomllib.loads(raw.decode("utf-8-sig").replace("\r\n", "\n"))
    except UnicodeDecodeError as error:
        why = f"byte {error.start} is wrong"
        raise InputError("is not UTF-8", where=str(path), why=why, hint="Save the file as UTF-8.") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        hint = 'Write TOML, such as: default = "unlearn".'
        raise InputError("is not TOML", where=str(path), why=str(error)[:160], hint=hint) from None
    try:
        _refuse_unknown(content, _TOP, ())
        default = _rule(content.get("default", {}), "default", Rule())
        given = content.get("types", {})
        if not isinstance(given, dict):
            raise _wrong(given, "types", "a table", 'Write [types], then PERSON = "keep".')
        types: dict[str, Rule] = {}
        for name, value in given.items():
            key = f"types.{name}"
            type_ = _type(name, key)
            if any(type_.casefold() == other.casefold() for other in types):
                raise InputError("gives a type twice", where=key, why=f"{type_} has a rule", hint="Keep one of them.")
            types[type_] = _rule(value, key, default)
    except InputError as error:
        raise error.within(str(path)) from None
    return EntitiesPolicy(default=default, types=types, file=path.name, sha256=hashlib.sha256(raw).hexdigest())


def _type(name: str, key: str) -> str:
    """Return a type as sets write it: canonical names in upper case, others as they are. Likely typos are refused."""
    for known in (*ENTITY_TYPES, UW):
        if name.casefold() == known.casefold():
            return known
    if not name.strip() or name != name.strip():
        raise InputError("is not a type", where=key, why="the name is empty or padded", hint=_known())
    if entity_type(name) is None:
        names = {*ENTITY_TYPES, UW, *(other for names in CROSSWALK.values() for other in names)}
        near = difflib.get_close_matches(name.upper(), names, n=1, cutoff=0.8)
        if near:
            why = f"it looks like {near[0]}"
            raise InputError(f"{name!r} is not a type that tif knows", where=key, why=why, hint=_known())
    return name


def _known() -> str:
    return f"Types: {', '.join(ENTITY_TYPES)}, {UW}, or a label of your set."


def _rule(value: object, key: str, default: Rule) -> Rule:
    if isinstance(value, str):
        value = {"action": value}
    if not isinstance(value, dict):
        raise _wrong(value, key, "an action or a table", f"Write {' or '.join(ACTIONS)}.")
    _refuse_unknown(value, _RULE, (key,))
    action = _action(value.get("action", default.action), f"{key}.action")
    deny = _words(value, "deny", key)
    deny_patterns = _patterns(value, "deny_patterns", key)
    if action == "keep" and (deny or deny_patterns):
        name = "deny" if deny else "deny_patterns"
        raise InputError(
            "has no effect", where=f"{key}.{name}", why="the words of this type are kept", hint="Change the action."
        )
    return Rule(
        action=action,
        threshold=_threshold(value.get("threshold", default.threshold), f"{key}.threshold"),
        allow=default.allow | _words(value, "allow", key),
        allow_patterns=(*default.allow_patterns, *_patterns(value, "allow_patterns", key)),
        deny=deny,
        deny_patterns=deny_patterns,
    )


def _action(value: object, key: str) -> Action:
    for action in ACTIONS:
        if value == action:
            return action
    raise _wrong(value, key, "an action", f"Write {', '.join(ACTIONS[:-1])} or {ACTIONS[-1]}.")


def _threshold(value: object, key: str) -> float:
    if type(value) not in (int, float) or not 0 <= float(str(value)) <= 1:
        raise _wrong(value, key, "a number from 0 to 1", "Write the lowest score of a span that stays.")
    return float(str(value))


def _words(rule: Mapping[str, object], name: str, key: str) -> frozenset[str]:
    return frozenset(_texts(rule, name, key))


def _patterns(rule: Mapping[str, object], name: str, key: str) -> tuple[re.Pattern[str], ...]:
    patterns: list[re.Pattern[str]] = []
    for number, text in enumerate(_texts(rule, name, key)):
        where = f"{key}.{name}[{number}]"
        try:
            pattern = re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise InputError(
                f"{short(text)} is not a regular expression", where=where, why=str(error), hint="Correct the pattern."
            ) from None
        if pattern.fullmatch(""):
            why = "it matches the empty text"
            raise InputError(f"{short(text)} marks nothing", where=where, why=why, hint="Use + instead of *.")
        patterns.append(pattern)
    return tuple(patterns)


def _texts(rule: Mapping[str, object], name: str, key: str) -> list[str]:
    value = rule.get(name, [])
    where = f"{key}.{name}"
    if not isinstance(value, list):
        raise _wrong(value, where, "a list of texts", f'Write {name} = ["..."].')
    for number, text in enumerate(value):
        if not isinstance(text, str):
            raise _wrong(text, f"{where}[{number}]", "a text", 'Put it between quotation marks: "...".')
        if not text.strip() or text != text.strip():
            why = "it is empty, or begins or ends with white space"
            raise InputError(f"{short(text)} matches no span", where=f"{where}[{number}]", why=why, hint="Trim it.")
    return value


def _refuse_unknown(table: Mapping[str, object], known: Iterable[str], where: tuple[str, ...]) -> None:
    known = tuple(known)
    for name in table:
        if name in known:
            continue
        key = ".".join((*where, name))
        near = difflib.get_close_matches(name, known, n=1)
        why = f"do you mean {near[0]}?" if near else None
        hint = f"Known: {', '.join(known)}."
        if not where and (entity_type(name) is not None or name == UW):
            why, hint = "rules of types are in the table types", f"Write [types.{name}]."
        raise InputError("is not a key of a policy", where=key, why=why, hint=hint)


def _wrong(value: object, key: str, wanted: str, hint: str) -> InputError:
    return InputError(f"{short(value)} is not {wanted}", where=key, hint=hint)


__all__ = ["read_policy"]
