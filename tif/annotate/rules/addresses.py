"""Find postal addresses complete: number, street, unit, town, region and postcode, over several lines."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import regex

from tif.annotate.rules.places import Place, Range

_AFTER_NAME: Final = (
    "street|st|avenue|ave?|av|road|rd|boulevard|blvd|lane|ln|drive|dr|way|court|ct|circle|cir|place|pl|terrace|ter|"
    "parkway|pkwy|highway|hwy|square|sq|trail|trl|close|crescent|grove|gardens|mews|row|alley|crossing|crossroad|loop|"
    "pike|path|run|walk|hill|hills|ridge|heights|park|plaza|point|branch|street|freeway|route|turnpike|expressway|bridge|"
    "causeway|valley|creek|landing|bend|quay|wharf|view|green|gate|lodge|estate|estates|village"
)
"""Words after the name of an English street."""

_CLEAR_AFTER_NAME: Final = "street|st|avenue|ave|road|rd|boulevard|blvd|lane|drive|dr|parkway|highway"
"""Those that name a street in small letters too: `miles down the hill` is no address."""

_BEFORE_NAME: Final = (
    "rue|avenue|av|boulevard|bd|allée|chemin|impasse|quai|place|route|cours|square|"
    "calle|avenida|avda|paseo|plaza|camino|carretera|ronda|travesía|c/|"
    "via|viale|piazza|corso|vicolo|strada|largo|"
    "rua|travessa|praça|estrada|alameda|"
    "ulica|ul\\.|aleja|al\\.|plac|calea|bulevardul|highway|route"
)
"""Words before the name of a French, Spanish, Italian, Portuguese, Polish or Romanian street."""

_IN_NAME: Final = (
    "straße|strasse|str\\.|weg|platz|gasse|allee|ufer|damm|ring|steig|chaussee|markt|"
    "straat|laan|plein|gracht|kade|dijk|vej|gade|gate|gata|gatan|vägen|veien|veg|torget|plads|"
    "katu|tie|kuja|utca|stræde|tún|vegur|braut"
)
"""Endings of the names of German, Dutch, Nordic and Hungarian streets."""

_UNIT: Final = (
    r"(?:(?:apartments?|apt|suite|ste|unit|floor|fl|room|rm|flat|box|p\.?o\.? ?box|bldg|building|étage|bâtiment|appt|"
    r"piso|puerta|etage|stock|postfach|apartado)\b\.?[ ]?#?[ ]?[\p{L}\d-]{1,6}\b|#[ ]?[\p{L}\d-]{1,6}\b)"
)

_NUMBER: Final = r"\d{1,6}+(?:[-/]\d{1,4}+)?+\p{L}?+(?![\p{L}\d])"
_NAME: Final = r"\p{Lu}[\p{L}\p{M}'’.-]{0,30}+"
_SMALL: Final = (
    r"(?:de|del|della|dei|di|da|do|dos|das|la|las|los|le|les|l['’]|du|des|der|dem|den|van|von|of|the|and|el|al|y|e|i|"
    r"im|am|zum|zur|\d{1,3}(?:st|nd|rd|th))(?![\p{L}\d])"
)
_ANY: Final = (
    r"(?!(?:a|an|and|are|as|at|be|but|by|for|from|has|have|he|her|his|i|if|in|is|it|its|not|of|on|or|she|that|the|"
    r"their|they|this|to|was|we|were|which|who|with|you)\b)\p{L}[\p{L}\p{M}'’.-]{0,30}+"
)
_PROPER: Final = rf"(?:{_SMALL}|{_NAME})"
_STEP: Final = r",?+[ ]{0,8}+\n?+[ ]{0,8}+"
_COMPASS: Final = r"(?:[ ](?:north|south|east|west|northeast|northwest|southeast|southwest|n|s|e|w|ne|nw|se|sw)\b\.?)?"
_POSTCODE: Final = (
    r"(?:\d{5}(?:-\d{3,4})?|\d{4}(?:-\d{3})?(?:[ ][A-Z]{2}\b)?|\d{3}[ ]\d{2}|[A-Z]{1,2}\d[A-Z\d]?[ ]?\d[A-Z]{2})"
)
_HOUSE: Final = rf"{_NUMBER}(?:[ ]{_NUMBER})?"
_COMPOUND: Final = (
    rf"(?:{_NAME}[ ]){{0,3}}?(?:{_NAME}[ -])?\p{{Lu}}?[\p{{L}}\p{{M}}-]{{0,30}}(?i:{_IN_NAME})[ ]{_NUMBER}"
)
_LAST_NUMBER: Final = r"(?:,?[ ](?:n[º°o.]+[ ]?)?\d{1,4}+\p{L}?+(?![\p{L}\d]))"
_BEFORE: Final = rf"(?i:{_BEFORE_NAME})(?![\p{{L}}\d])\.?(?:[ ]{_PROPER}){{1,6}}"

_NUMBERED: Final = regex.compile(
    rf"(?<![\w.,/-])(?=\d)(?:"
    # 12 Old Mill Road; 3747 fourth avenue
    rf"{_HOUSE}[ ](?!(?:of|and|the)\b)(?:{_PROPER}[ ]){{1,5}}?(?=\p{{Lu}})(?i:{_AFTER_NAME})\b\.?(?i:{_COMPASS})"
    rf"|{_HOUSE}(?:[ ]{_ANY}){{1,3}}?[ ](?i:{_CLEAR_AFTER_NAME})\b\.?(?i:{_COMPASS})"
    # 12 rue des Lilas; not the year of a date before
    rf"|(?!(?:1[89]|20)\d\d,){_HOUSE},?[ ]{_BEFORE}{_LAST_NUMBER}?"
    # 83 Lindenvej 12
    rf"|{_NUMBER}[ ]{_COMPOUND}"
    # 52 Søndergade 656, Apt. 4: the words between a number and a unit
    rf"|{_HOUSE}(?:[ ](?:{_PROPER}|{_ANY})){{1,5}}(?:[ ]{_NUMBER}){{0,2}}{_STEP}(?i:{_UNIT})"
    # 17 Rahu 37, Springfield, OH 12345
    rf"|{_HOUSE}(?:{_STEP}(?:{_PROPER}|{_NUMBER})){{2,8}}?,?[ ]?\n?[ ]?[A-Z]{{2,3}}[ ]{{0,2}}\n?[ ]?{_POSTCODE}\b"
    rf")"
)
"""Addresses that begin with the number of the house."""

# Calle Mayor 5
_NAMED: Final = regex.compile(rf"(?<![\w.,/-]){_BEFORE}{_LAST_NUMBER}")

# Lindenstraße 12; Am Alten Markt 3
_COMPOUNDED: Final = regex.compile(rf"(?<![\w.,/-])(?=\p{{Lu}}){_COMPOUND}")
_COMPOUND_END: Final = re.compile(rf"(?:{_IN_NAME})[ ]\d", re.I)

_POSTAL: Final = regex.compile(
    # military mail, post office boxes
    r"\b(?:(?i:psc|unit|cmr|p\.?o\.? ?box|usns|uss|uscgc|usnv)[ ]{1,2}[\p{L}\d]{1,20}+"
    rf"(?:,?[ ](?i:box)[ ]\d{{1,5}})?{_STEP}(?i:[afd]po)[ ](?i:aa|ae|ap)[ ]\d{{5}}"
    r"|(?i:p\.?o\.?[ ]?box|postfach|apartado)[ ]\d{1,6})"
)

_TOWN: Final = rf"(?:{_PROPER}{_STEP})"
_CONTINUATION: Final = regex.compile(
    rf"{_STEP}(?:"
    rf"(?i:{_UNIT})"
    rf"|(?:[A-Z]{{1,2}}-)?\d{{4,5}}[ ]{_NAME}(?:[ -](?:{_PROPER})){{0,3}}"  # 69003 Lyon
    rf"|{_TOWN}{{0,9}}?(?:[A-Z]{{2,3}}\b\.?{_STEP})?{_POSTCODE}(?![\w-])"  # Springfield, OH 12345
    rf"|(?<=,[ ])[A-Z]{{2}}\b(?![.'’-])"
    rf")"
)
_BETWEEN: Final = regex.compile(r",?[ ]{0,8}\n?[ ]{0,8}")
_MOST_STEPS: Final = 8


def addresses(text: str, towns: Iterable[Range] = ()) -> list[Place]:
    """Return postal addresses, in order and without overlaps.

    Args:
        text: any text.
        towns: ranges that may continue an address: names of places.
    """
    starts: dict[int, int] = {}
    for start, end in towns:
        starts[start] = max(end, starts.get(start, end))
    patterns = [_NUMBERED, _NAMED, _POSTAL]
    if _COMPOUND_END.search(text):
        patterns.append(_COMPOUNDED)
    beginnings = sorted(match.span() for pattern in patterns for match in pattern.finditer(text))
    result: list[Place] = []
    at = 0
    for start, end in beginnings:
        if start >= at:
            at = _continued(text, end, starts)
            result.append(Place(start, at, "ADDRESS"))
    return result


def _continued(text: str, end: int, towns: dict[int, int]) -> int:
    for _ in range(_MOST_STEPS):
        if further := _CONTINUATION.match(text, end):
            end = further.end()
            continue
        gap = _BETWEEN.match(text, end).end()
        if gap == end or gap not in towns:
            break
        end = towns[gap]
    return end


__all__ = ["addresses"]
