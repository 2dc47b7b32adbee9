"""Recognise a job title by its last noun: `regional sales manager`, `head of marketing`, `the pharmacist Ann Bo`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tif.annotate.rules.lexicon import words
from tif.annotate.rules.phrases import Phrase
from tif.annotate.rules.places import Place

HEADS: Final = words(
    """
    accountant actor actress actuary adjuster administrator adviser advisor agent agronomist analyst
    anesthesiologist archaeologist architect archivist assembler assistant associate astronomer athlete auditor
    baker banker barber barista bartender beautician biologist bookkeeper botanist bricklayer broker builder butcher
    buyer carer caretaker carpenter cashier ceo cfo chef chemist chief cinematographer cleaner clerk coach
    comptroller consultant controller cook coo coordinator copywriter cto curator dancer decorator dentist designer
    detective developer dietitian director dispatcher doctor doorman draftsman driver economist editor electrician
    engineer entrepreneur executive farmer firefighter fisherman fitter florist forester foreman gardener geologist
    geophysicist glazier guard hairdresser head historian housekeeper hydrologist illustrator inspector installer
    instructor interpreter janitor jeweller joiner journalist labourer laborer lawyer lecturer librarian lifeguard
    locksmith logistician machinist manager mason mathematician mechanic merchandiser meteorologist midwife miller
    miner musician navigator nurse nutritionist officer operator optician optometrist orderly packager packer
    painter paralegal paramedic pathologist pediatrician pharmacist photographer physician physicist physiotherapist
    pilot planner plasterer plumber podiatrist policeman policewoman porter postman potter president principal
    printer producer professor programmer psychiatrist psychologist psychotherapist radiographer radiologist
    receptionist recruiter registrar representative reporter researcher roofer sailor salesman salesperson
    saleswoman scientist secretary seamstress sergeant sculptor shepherd shopkeeper solicitor specialist
    statistician steward stewardess stylist superintendent supervisor surgeon surveyor tailor taxidermist teacher
    technician technologist teller therapist tiler trader trainer translator treasurer tutor undertaker underwriter
    upholsterer vet veterinarian waiter waitress warden watchmaker weaver welder worker writer zoologist
    """
)
"""Last nouns of job titles, after the unit groups of ISCO-08 and the occupations of the Standard Occupational
Classification. Nouns of roles in a case or a book, such as judge and author, are not among them."""

_POSITION: Final = words("job position post rank role title")
_BECOMING: Final = words("appoint appointed appoints become becomes became elect elected hire hired named promoted")


def is_job(phrase: Phrase) -> bool:
    """Return whether a phrase tells the job of a person, by its last noun and its place in the sentence."""
    if phrase.kind == "title" or phrase.label == "PERSON" or phrase.words[-1].lower_ not in HEADS:
        return False
    root = phrase.words[-1]
    if root.dep_ == "appos" and _is_person(root.head):
        return True
    if root.i + 1 < len(root.doc) and root.nbor().ent_type_ == "PERSON":
        return True
    if root.dep_ in ("attr", "oprd", "dobj"):
        verb = root.head
        people = (child for child in verb.children if child.dep_ in ("nsubj", "nsubjpass", "dobj") and child != root)
        return (root.dep_ != "dobj" or verb.lower_ in _BECOMING) and any(map(_is_person, people))
    if root.dep_ == "pobj":
        preposition = root.head
        above = preposition.head.lower_
        return bool(
            preposition.lower_ == "as"
            or (preposition.lower_ == "of" and above in _POSITION)
            or (preposition.lower_ == "to" and above in _BECOMING)
        )
    return False


def _is_person(token: Any) -> bool:
    return bool(token.ent_type_ == "PERSON" or token.tag_ == "PRP")


def job(phrase: Phrase) -> Place:
    """Return the place of a job title, with its complement: `head of marketing`."""
    end = phrase.end
    for child in phrase.words[-1].rights:
        if child.lower_ == "of" and child.i == phrase.words[-1].i + 1:
            last = next((word for word in child.rights if word.dep_ == "pobj"), None)
            if last is not None and last.i - child.i <= 3:
                end = last.idx + len(last)
    return Place(phrase.start, end, "OCCUPATION")


def before_names(phrase: Phrase) -> Iterator[Place]:
    """Yield the job title before a person's name, in one phrase: `Marketing Director Ann Bo`."""
    if phrase.label != "PERSON":
        return
    before = []
    for word in phrase.words:
        if word.ent_type_ == "PERSON":
            break
        before.append(word)
    if before and before[-1].lower_ in HEADS:
        yield Place(before[0].idx, before[-1].idx + len(before[-1]), "OCCUPATION")


__all__ = ["HEADS", "before_names", "is_job", "job"]
