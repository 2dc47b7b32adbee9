"""Types of personal data: the canonical vocabulary, and the names that recognisers and data sets give the types.

Every annotator writes one of these types as a span's label, or `UW` if it knows no type. So masks, policies and
reports of different recognisers agree. A type that no scheme here knows stays as its recogniser wrote it.

    from tif.entities import entity_type, label_of

    entity_type("US_SSN")            # "GOV_ID"
    entity_type("GPE", "spacy")      # "LOCATION"
    entity_type("CHESS_OPENING")     # None
    label_of("CHESS_OPENING")        # "CHESS_OPENING"
    label_of("")                     # "UW"

Sources: the schemes' own documentation and code. The three kinds follow the Text Anonymization Benchmark (TAB).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, get_args

from tif.entities.names import NAMES, EntityType, Kind, Scheme
from tif.spans import UW

ENTITY_TYPES: Final[tuple[EntityType, ...]] = get_args(EntityType)
SCHEMES: Final[tuple[Scheme, ...]] = get_args(Scheme)

MEANINGS: Final[Mapping[EntityType, str]] = MappingProxyType(
    {
        "PERSON": "names of people",
        "USERNAME": "account and display names, handles",
        "EMAIL": "e-mail addresses",
        "PHONE": "telephone and fax numbers",
        "ADDRESS": "street addresses and postcodes",
        "LOCATION": "places: cities, regions, countries, buildings, coordinates",
        "DATE_OF_BIRTH": "dates of birth",
        "DATE": "other dates and times",
        "AGE": "ages",
        "ORG": "companies, institutions, courts, parties",
        "GOV_ID": "numbers that a state gives: social security, passport, driving licence, tax, number plate",
        "ACCOUNT": "bank accounts, cards, wallets",
        "RECORD_ID": "numbers of patients, customers, staff, cases, licences",
        "NETWORK": "IP and MAC addresses, URLs, domains, device identifiers",
        "SECRET": "passwords, keys, tokens, PINs",
        "DEMOGRAPHIC": "nationality, ethnicity, religion, politics, gender, marital status",
        "OCCUPATION": "jobs, titles, degrees",
        "HEALTH": "conditions, treatments, blood types",
        "AMOUNT": "sums of money, quantities, numbers",
        "OTHER": "other identifying words, such as events, works and laws",
    }
)

_DIRECT: Final = frozenset(
    {"PERSON", "USERNAME", "EMAIL", "PHONE", "GOV_ID", "ACCOUNT", "RECORD_ID", "NETWORK", "SECRET"}
)
_SENSITIVE: Final = frozenset({"DEMOGRAPHIC", "HEALTH"})


def _kind(type_: EntityType) -> Kind:
    return "direct" if type_ in _DIRECT else "sensitive" if type_ in _SENSITIVE else "quasi"


KINDS: Final[Mapping[EntityType, Kind]] = MappingProxyType({type_: _kind(type_) for type_ in ENTITY_TYPES})
"""How much each type identifies."""


def _folded(name: str) -> str:
    """Return a name without case, spaces, hyphens and underscores: `first_name` and `FIRSTNAME` are one."""
    return "".join(character for character in name.casefold() if character.isalnum())


CROSSWALK: Final[Mapping[Scheme, Mapping[str, EntityType]]] = MappingProxyType(
    {
        scheme: MappingProxyType({name: type_ for type_, names in table.items() for name in names.split()})
        for scheme, table in NAMES.items()
    }
)
"""The canonical type of each name of each scheme."""

_BY_SCHEME: Final[Mapping[Scheme, Mapping[str, EntityType]]] = {
    scheme: {_folded(name): type_ for name, type_ in names.items()} for scheme, names in CROSSWALK.items()
}
_BY_NAME: Final[Mapping[str, EntityType]] = {
    **{name: type_ for names in _BY_SCHEME.values() for name, type_ in names.items()},
    **{_folded(type_): type_ for type_ in ENTITY_TYPES},
}


def entity_type(name: str, scheme: Scheme | None = None) -> EntityType | None:
    """Return the canonical type of a name; None if it is not known, or is `UW`.

    Case, spaces, hyphens and underscores do not count.

    Args:
        name: the name of a type, in any scheme or the canonical one.
        scheme: whose name it is; its table is read first.
    """
    folded = _folded(name)
    own = _BY_SCHEME[scheme].get(folded) if scheme is not None else None
    return own or _BY_NAME.get(folded)


def label_of(name: str, scheme: Scheme | None = None) -> str:
    """Return the label of a span whose recogniser named its type: the canonical type, else the name itself, else `UW`.

    Args:
        name: the name that the recogniser gave; "" if it gave none.
        scheme: whose name it is.
    """
    return entity_type(name, scheme) or name.strip() or UW


__all__ = [
    "CROSSWALK",
    "ENTITY_TYPES",
    "KINDS",
    "MEANINGS",
    "SCHEMES",
    "EntityType",
    "Kind",
    "Scheme",
    "entity_type",
    "label_of",
]
