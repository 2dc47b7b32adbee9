"""Chats: each assistant turn is a sample, with the dialogue before it as the prompt.

A prompt with one user turn is that turn's words. A longer dialogue is written with the role before each turn:

    User: Where does Ann Lee live?

    Assistant: In Ghent.

    User: And her brother?
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from tif.errors import InputError, kind_of
from tif.readers.row import Place, Row

CHATS: Final = ("messages", "conversations", "conversation", "dialog", "chat")
"""Names of a field that holds a chat as a list of messages."""

Role = Literal["system", "user", "assistant", "tool"]

_ROLES: Final[dict[str, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
}
"""Roles of OpenAI's, ShareGPT's and other chats."""

_ROLE_FIELDS: Final = ("role", "from", "speaker")
_TEXT_FIELDS: Final = ("content", "value", "text")


@dataclass(frozen=True, slots=True)
class Turn:
    """A message with text."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatSample:
    """An assistant turn and the dialogue before it."""

    place: Place
    row: Row
    """`id`, if the chat has one, `prompt` and `text`."""
    system: str
    """The system message; "" without one. It is not part of the prompt."""
    turns: int
    """Turns of the dialogue before the answer."""


def chat_field(row: Row) -> str | None:
    """Return the field that holds a chat: a list of messages. None if there is none."""
    names = {str(name).strip().casefold(): str(name) for name in row}
    for name in CHATS:
        if name in names and isinstance(value := row[names[name]], list) and value and isinstance(value[0], dict):
            return names[name]
    return None


def chat_samples(place: Place, row: Row, field: str) -> Iterator[ChatSample]:
    """Yield a sample for each assistant turn with text. The id of the second one ends in `/1`.

    Args:
        place: the record's place, for errors.
        row: the record.
        field: the field with the messages.

    Raises:
        InputError: for a message without a known role or with something else than text, or a chat in which nobody
            answers.
    """
    try:
        turns = [turn for number, value in enumerate(_list(row, field)) if (turn := _turn(value, f"{field}[{number}]"))]
    except InputError as error:
        raise error.within(place) from None
    system = "\n\n".join(turn.text for turn in turns if turn.role == "system")
    dialogue = [turn for turn in turns if turn.role != "system"]
    number = 0
    for at, turn in enumerate(dialogue):
        if turn.role != "assistant" or not turn.text.strip():
            continue
        sample: dict[str, object] = {name: value for name, value in row.items() if name not in (field, "id")}
        if row.get("id") is not None:
            sample["id"] = row["id"] if number == 0 else f"{row['id']}/{number}"
        sample |= {"prompt": _prompt(dialogue[:at]), "text": turn.text}
        where = f"{place}, {field}, answer {number + 1}"
        yield ChatSample(place=where, row=sample, system=system, turns=at)
        number += 1
    if not number:
        raise InputError(
            "has no assistant turn with text",
            where=(place, field),
            why=f"roles: {', '.join(dict.fromkeys(turn.role for turn in turns)) or 'none'}",
            hint="Leave the record out, or name other fields with --prompt-field and --text-field.",
        )


def _prompt(dialogue: list[Turn]) -> str:
    if len(dialogue) == 1 and dialogue[0].role == "user":
        return dialogue[0].text
    return "\n\n".join(f"{turn.role.capitalize()}: {turn.text}" for turn in dialogue)


def _turn(value: object, where: str) -> Turn | None:
    """Return a message with text; None for one without, such as a call of a tool."""
    if not isinstance(value, dict):
        raise InputError(f"is {kind_of(value)}, not a message", where=where)
    name = next((name for name in _ROLE_FIELDS if name in value), None)
    role = value.get(name) if name else None
    if not isinstance(role, str) or role.strip().casefold() not in _ROLES:
        raise InputError(
            f"{role!r} is not a role" if name else "has no role",
            where=f"{where}.{name or _ROLE_FIELDS[0]}",
            hint="Roles: system, user, assistant, tool, or ShareGPT's human and gpt.",
        )
    text = _text(next((value[name] for name in _TEXT_FIELDS if name in value), None), where)
    return None if text is None else Turn(_ROLES[role.strip().casefold()], text)


def _text(content: object, where: str) -> str | None:
    """Return the text of a message: a string, or the joined text parts."""
    if content is None or isinstance(content, str):
        return content
    parts: list[str] = []
    for number, part in enumerate(content if isinstance(content, list) else [content]):
        text = part.get("text") if isinstance(part, dict) else part
        kind = part.get("type", "text") if isinstance(part, dict) else "text"
        if kind != "text" or not isinstance(text, str):
            place = f"{where}.content[{number}]"
            raise InputError("is not text", where=place, why=f"its type is {kind}", hint="Leave the record out.")
        parts.append(text)
    return "".join(parts)


def _list(row: Row, field: str) -> list[object]:
    value = row[field]
    return value if isinstance(value, list) else []


__all__ = ["CHATS", "ChatSample", "Role", "Turn", "chat_field", "chat_samples"]
