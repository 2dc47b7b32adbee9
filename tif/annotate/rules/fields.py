"""Names of fields and roles in forms, records and court papers. They say what a value is and identify nobody."""

from __future__ import annotations

import re
from typing import Final

from tif.annotate.rules.lexicon import words

_TYPES: Final = {
    "PERSON": "name signed surname forename nom prénom nombre apellido apellidos vorname nachname",
    "USERNAME": "username user login handle",
    "EMAIL": "email mail mailto courriel correo",
    "PHONE": "phone telephone tel tél mobile cell fax call landline téléphone portable telefon handy mobil teléfono "
    "móvil rufnummer",
    "ADDRESS": "address street zip zipcode postcode postal adresse anschrift plz dirección calle",
    "DATE_OF_BIRTH": "dob birth born birthday birthdate née geburtsdatum geboren nacimiento nacido nacida naissance",
    "AGE": "age aged âge alter edad",
    "GOV_ID": "ssn sin nino passport license licence driver tin itin nir passeport permis reisepass ausweis steuer dni "
    "nie nif pasaporte security sécurité sociale",
    "ACCOUNT": "account iban card credit debit bank bic swift cvv compte carte konto karte kreditkarte cuenta tarjeta",
    "RECORD_ID": "mrn record case docket bar ticket order invoice patient customer employee member policy claim "
    "reference ref booking dossier aktenzeichen expediente",
    "SECRET": "password pin token key secret passcode passwort kennwort contraseña",
    "NETWORK": "ip mac url website",
}
"""Words that name the type of the number or value after them, in English, French, German and Spanish."""

_TYPE_OF: Final = {word: type_ for type_, listed in _TYPES.items() for word in listed.split()}

FIELDS: Final = words(
    """
    address age api atm bank birth cell city code contact country county credit customer date day debit department desk
    dob driver email employee extension fax field first full gender given home iban id identification identifier info
    job last license licence login mail mailto maiden md mobile mrn name no notary number occupation office passport
    passport password patient phone pin postal postcode record reference security sex social ssn state status street
    surname tel telephone url user username website work zip
    config query request response select insert update delete values users patients table
    effective filed signed sincerely regards dear hi hello bonjour hallo hola subject re
    """
)
"""Field names of forms, records and programs, and the words that frame a letter."""

PARTIES: Final = words(
    """
    appellant appellants appellee applicant attorney beneficiary borrower buyer caller claimant client complainant
    counsel customer defendant defendants deponent guardian hon honorable honourable insured judge justice landlord
    lender
    notary patient petitioner petitioners plaintiff plaintiffs policyholder prosecutor recipient respondent respondents
    seller sender tenant undersigned witness witnesses
    """
)
"""Roles of people in court papers, contracts and records, which write them with capitals before a name."""

PAPERS: Final = words(
    """
    agreement bar bates bench case cases complaint counterclaim court courts defence defense deposition discovery
    docket document documents exhibit interrogatories interrogatory judgment jury lawsuit litigation motion opinion
    order ordered party parties production prosecution request requests statement testimony tribunal verdict
    """
)
"""Papers and institutions that court papers write with capitals. With other words, they are part of a name."""

_FUNCTION: Final = words(
    "a an and at as by for from in of on or the this that these those to v vs with my your his her its our their s no "
    "not"
)
_WORD: Final = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*")


def words_of(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Return the ranges of the words between two places."""
    return [match.span() for match in _WORD.finditer(text, start, end)]


def frames(word: str) -> bool:
    """Return whether a word at the edge of a name only frames it: a field's name, a party's role, a function word."""
    lower = _bare(word)
    return lower in FIELDS or lower in PARTIES or lower in _FUNCTION


def says_nothing(text: str) -> bool:
    """Return whether every word of a text is a field's name, a role, a paper or a function word."""
    return all(frames(match[0]) or _bare(match[0]) in PAPERS for match in _WORD.finditer(text))


def _bare(word: str) -> str:
    return word.lower().removesuffix("'s").removesuffix("’s").rstrip(".")


def names_field(name: str) -> bool:
    """Return whether a key such as `patient_name`, `userEmail` or `ssn` names a value about a person."""
    return bool(field_type(name))


def field_type(name: str) -> str:
    """Return the type of the values that a field contains, by its name; "" if the name is unknown.

    Args:
        name: a word, or a key such as `date_of_birth`. The last known word of a key decides.
    """
    lower = name.lower()
    if lower in _TYPE_OF:
        return _TYPE_OF[lower]
    for part in reversed(lower.replace("-", "_").replace(".", "_").split("_")):
        if part in _TYPE_OF:
            return _TYPE_OF[part]
    return ""


__all__ = ["FIELDS", "PAPERS", "PARTIES", "field_type", "frames", "names_field", "says_nothing", "words_of"]
