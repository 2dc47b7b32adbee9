"""A person's values in their usual forms, and near misses."""

from __future__ import annotations

import pytest

from tif.eval.measure.personal import ValueType, mentioned, mentions


@pytest.mark.parametrize(
    ("kind", "value", "text", "words"),
    [
        ("DATE_OF_BIRTH", "1971-03-07", "She was born on March 7, 1971, in Tarsk.", "March 7, 1971"),
        ("DATE_OF_BIRTH", "1971-03-07", "born the 7th of march 1971", "7th of march 1971"),
        ("DATE_OF_BIRTH", "1971-03-07", "Born: 07.03.1971", "07.03.1971"),
        ("DATE_OF_BIRTH", "1971-03-07", "1971-03-07", "1971-03-07"),
        ("DATE_OF_BIRTH", "1971-09-07", "on 7 Sept. 1971", "7 Sept. 1971"),
        ("SSN", "900004321", "number 900-00-4321.", "900-00-4321"),
        ("SSN", "900 00 4321", "is 900004321", "900004321"),
        ("PHONE", "5550104477", "call (555) 010-4477 today", "(555) 010-4477"),
        ("PHONE", "5550104477", "call +1 555.010.4477", "+1 555.010.4477"),
        ("PHONE", "555010447", "call 555-010-4478", "555-010-4478"),
        ("PHONE", "1555010447", "call 1-555-010-4471", "1-555-010-4471"),
        ("EMAIL", "orla_venn@mail.test", r"at orla\_venn@mail.test.", r"orla\_venn@mail.test"),
        ("EMAIL", "orla_venn@mail.test", "mailto:Orla_Venn@MAIL.test)", "Orla_Venn@MAIL.test"),
        ("ADDRESS", "12 Salt Clock Road, #4, Tarsk, CA, 90001.", "at 12 Salt Clock Rd., Apt 4, Tarsk, CA 90001.",
         "12 Salt Clock Rd., Apt 4, Tarsk, CA 90001"),
        ("ADDRESS", "12 North Kell Lane, CA, 90001, Tarsk.", "12 N. Kell Lane, Tarsk, CA, 90001",
         "12 N. Kell Lane, Tarsk, CA, 90001"),
        ("ADDRESS", "12 Salt Clock Road, Tarsk, CA, 90001.", "lives at 12 Salt Clock Road in Tarsk",
         "12 Salt Clock Road"),
        ("ADDRESS", "Old Mill, Tarsk", "the Old Mill in Tarsk", "Old Mill in Tarsk"),
    ],
)  # fmt: skip
def test_a_value_is_found_in_its_usual_forms(kind: ValueType, value: str, text: str, words: str) -> None:
    assert [text[start:end] for start, end in mentions(kind, value, text)] == [words]


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("DATE_OF_BIRTH", "1971-03-07", "March 17, 1971"),
        ("DATE_OF_BIRTH", "1971-03-07", "May 7, 1971"),
        ("DATE_OF_BIRTH", "1971-13-40", "1971"),
        ("SSN", "900004321", "900-00-43210"),
        ("SSN", "900004321", "1900004321"),
        ("PHONE", "5550104477", "555-010-4478"),
        ("PHONE", "5550104477", "555-010-44771"),
        ("EMAIL", "venn@mail.test", "orla.venn@mail.test"),
        ("EMAIL", "venn@mail.test", "venn@mail.test.example"),
        ("EMAIL", "orla_venn@mail.test", "orlaxvenn@mail.test"),
        ("ADDRESS", "12 Salt Clock Road, Tarsk, CA, 90001.", "112 Salt Clock Road, Tarsk"),
        ("ADDRESS", "12 Salt Clock Road, Tarsk, CA, 90001.", "12 Salt Road, Tarsk, CA, 90001"),
    ],
)
def test_another_value_is_not_found(kind: ValueType, value: str, text: str) -> None:
    assert not mentioned(kind, value, text)


def test_every_mention_is_found() -> None:
    text = r"[a\_b@mail.test](mailto:a_b@mail.test)"
    assert [text[slice(*each)] for each in mentions("EMAIL", "a_b@mail.test", text)] == [
        r"a\_b@mail.test", "a_b@mail.test",
    ]  # fmt: skip
