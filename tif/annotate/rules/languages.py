"""The words of a language that the rules for plain text need: months, ages, jobs and conditions, and its parse labels.

Patterns and addresses need no table: a text in any language may contain them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import regex

from tif.annotate.rules.lexicon import words


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The words of one language, and the names that its pipelines give the parts of a sentence."""

    months: str
    """Names of months, as alternatives of a regular expression. Case does not count."""
    weekdays: str
    """Names of the days of the week, in the same form."""
    years: str
    """Units that follow the number of an age, in the same form."""
    as_a: frozenset[str] = frozenset()
    """Words that introduce a job: `works as a nurse`. Empty for English, whose rules read noun phrases."""
    works: tuple[str, ...] = ()
    """Beginnings of the words before such a job."""
    introducing: tuple[str, ...] = ()
    """Beginnings of the words that introduce a condition, a treatment or an offence."""
    subjects: frozenset[str] = frozenset()
    """Dependency labels of a subject."""
    predicates: frozenset[str] = frozenset()
    """Dependency labels of the noun in `is a nurse`. Empty if the noun is the head and has the verb as `cop`."""
    complements: frozenset[str] = frozenset()
    """Dependency labels of what a verb or an adjective introduces."""


_UNIVERSAL: Final = words("nsubj nsubj:pass obj obl obl:arg obl:mod nmod iobj")
_UD_SUBJECTS: Final = frozenset({"nsubj", "nsubj:pass"})

LANGUAGES: Final = {
    "en": Words(
        months="january|february|march|april|may|june|july|august|september|october|november|december|jan|feb|mar|apr|jun"
        "|jul|aug|sept?|oct|nov|dec",
        weekdays="monday|tuesday|wednesday|thursday|friday|saturday|sunday",
        years="years?[- ]old|y/?o|yrs?",
    ),
    "fr": Words(
        months="janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre",
        weekdays="lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche",
        years="ans",
        as_a=words("comme"),
        works=("travaill", "emplo", "engag", "embauch", "exerc"),
        introducing=(
            *("accus", "allergi", "arrêt", "attein", "avort", "condamn", "diagnosti", "hospitalis", "inculp"),
            *("opér", "prescri", "souffr", "soign", "trait"),
        ),
        subjects=_UD_SUBJECTS,
        complements=_UNIVERSAL - _UD_SUBJECTS,
    ),
    "de": Words(
        months="januar|jänner|februar|märz|april|mai|juni|juli|august|september|oktober|november|dezember",
        weekdays="montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonnabend|sonntag",
        years="jahre?|jährige[rn]?",
        as_a=words("als"),
        works=("arbeit", "tätig", "angestellt", "beschäftigt"),
        introducing=(
            *("allergi", "angeklagt", "behandel", "beschuldig", "diagnosti", "erkrank", "leide", "litt", "operier"),
            *("verhaft", "verurteil", "verschr"),
        ),
        subjects=words("sb"),
        predicates=words("pd"),
        complements=words("oa oa2 og op pg mo da nk"),
    ),
    "es": Words(
        months="enero|febrero|marzo|abril|mayo|junio|julio|agosto|sep?tiembre|octubre|noviembre|diciembre",
        weekdays="lunes|martes|miércoles|jueves|viernes|sábado|domingo",
        years="años",
        as_a=words("como de"),
        works=("trabaj", "emple", "contrat"),
        introducing=(
            *("acus", "alérgic", "arrest", "conden", "detenid", "diagnostic", "hospitaliz", "operad", "padec"),
            *("recet", "sufr", "tratad"),
        ),
        subjects=_UD_SUBJECTS,
        complements=_UNIVERSAL - _UD_SUBJECTS,
    ),
}
"""The languages whose rules for plain text are more than patterns and entities."""


@cache
def date_pattern(language: str) -> regex.Pattern[str]:
    """Return the pattern of dates with a month's name, and of ages."""
    day = r"\d{1,2}(?:\.|st|nd|rd|th|er)?"
    month = rf"(?:{LANGUAGES[language].months})\b\.?"
    link = r"(?:[ ](?:of|de|del|d['’]))?[ ]"
    return regex.compile(
        rf"\b(?:(?:{day}{link})?{month},?(?:[ ](?:de|del)[ ]|[ ])\d{{4}}\b|{day}{link}{month}"
        rf"|{month}[ ]{day}(?:,[ ]?\d{{4}}\b)?)",
        regex.IGNORECASE,
    )


@cache
def age_pattern(language: str) -> regex.Pattern[str]:
    """Return the pattern of ages in digits."""
    return regex.compile(rf"\b\d{{1,3}}[ -](?:{LANGUAGES[language].years})\b", regex.IGNORECASE)


__all__ = ["LANGUAGES", "Words", "age_pattern", "date_pattern"]
