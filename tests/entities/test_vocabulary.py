"""The canonical types of personal data, and the crosswalk from other people's names."""

import pytest

from tif.entities import CROSSWALK, ENTITY_TYPES, KINDS, MEANINGS, SCHEMES, entity_type, label_of


@pytest.mark.parametrize(
    ("name", "scheme", "type_"),
    [
        ("GPE", "spacy", "LOCATION"),
        ("US_SSN", "presidio", "GOV_ID"),
        ("SSN", "lume", "GOV_ID"),
        ("CODE", "tab", "RECORD_ID"),
        ("CREDIT_DEBIT_NUMBER", "comprehend", "ACCOUNT"),
        ("USSocialSecurityNumber", "azure", "GOV_ID"),
        ("PERSON_NAME", "dlp", "PERSON"),
        ("first name", "gliner", "PERSON"),
        ("e-mail address", None, "EMAIL"),
        ("private_date", "openai", "DATE"),
        ("GIVENNAME1", "ai4privacy", "PERSON"),
        ("PATIENT", "i2b2", "PERSON"),
        ("PER", "hf", "PERSON"),
        ("NRP", None, "DEMOGRAPHIC"),
        ("date_of_birth", None, "DATE_OF_BIRTH"),
        ("phone-number", None, "PHONE"),
    ],
)
def test_names_of_each_scheme_have_a_canonical_type(name, scheme, type_):
    assert entity_type(name, scheme) == type_
    assert label_of(name, scheme) == type_


def test_an_unknown_type_keeps_its_name_and_no_type_is_uw():
    assert entity_type("CHESS_OPENING") is None
    assert label_of(" CHESS_OPENING ") == "CHESS_OPENING"
    assert label_of("") == label_of("  ") == label_of("UW") == "UW"
    assert entity_type("UW") is None


@pytest.mark.parametrize("type_", ENTITY_TYPES)
def test_canonical_types_stand_for_themselves_in_every_scheme(type_):
    assert entity_type(type_) == type_
    assert KINDS[type_] in ("direct", "quasi", "sensitive")
    assert MEANINGS[type_]
    assert {entity_type(type_, scheme) for scheme in SCHEMES} == {type_}


def test_no_two_schemes_disagree_about_a_name():
    """Without its scheme, a name must still mean one type."""
    meanings = {}
    for names in CROSSWALK.values():
        for name, type_ in names.items():
            meanings.setdefault("".join(c for c in name.casefold() if c.isalnum()), set()).add(type_)
    assert {name: types for name, types in meanings.items() if len(types) > 1} == {}
    assert set(CROSSWALK) == set(SCHEMES)
