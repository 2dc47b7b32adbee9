"""Closed lists of ordinary English words that state no fact by themselves. No list comes from a particular dataset."""

from __future__ import annotations

from typing import Final


def words(listed: str) -> frozenset[str]:
    """Return the words of a list separated by white space."""
    return frozenset(listed.split())


SHELL: Final = words(
    """
    ability access account action activity addition advantage age aim amount angle approach area array aspect
    attempt attention avenue basis bearing beginning belief benefit bit blend boundary capacity case cause
    chance change choice circumstance combination commitment concept concern condition conflict connection
    consequence consideration content context contribution control core course dedication degree depiction depth
    description desire detail development difference dimension direction discussion door drive effect effort
    element emphasis end endeavor endeavour engagement essence event evidence example exception experience
    exploration exposure expression extent face fact factor feature feel field flavor flavour focus form
    foundation fusion goal ground group growth hand heart help idea impact impression incorporation influence
    information insight inspiration instance intention interest introduction issue journey kind knowledge lack
    landscape layer lens level life light list look lot love manner matter meaning means mention method mind mix
    mixture moment motivation name nature need note number occasion opportunity option order origin outlook page
    part participation passion past path pattern people perception period perspective picture piece place plan
    point portion portrayal position possibility power practice presence problem process production progress
    purpose quality question range reach reaction reader reality reason recognition reference reflection regard
    relation relationship representation research resonance respect response result role root scale scene sense
    series set setting shape share side sign significance situation skill society sort source space stage stamp
    standpoint start state step style subject success support task term thing thought time tone topic touch
    tradition truth type understanding unit usage use value variety version view viewpoint voice way weight
    whole word world year
    """
)
"""Shell and container nouns. Their content is elsewhere, mostly after `of`."""

FRAME: Final = words(
    """
    answer article audience author book career character child community contribution creation critic family fan
    father fiction friend genre individual journey literature man member mother narrative novel novelist
    occupation oeuvre parent person plot profession public publication reader readership story storyline
    storytelling theme title upbringing woman work writer writing
    """
)
"""Nouns of the frame of a text about a person and their work. They name roles, not the facts that fill these roles."""

EVALUATIVE: Final = words(
    """
    able acclaimed active actual additional another authentic avid beautiful beloved best better big broad
    captivating celebrated certain clear common compelling complex considerable consistent constant continuous
    critical crucial current deep deeper different distinct distinctive distinguished dynamic early enduring
    engaging entire esteemed evident exact excellent exceptional extensive extraordinary famous fascinating few
    final first fresh full fundamental general good great greater groundbreaking hard high highly huge immense
    immersive impactful important incredible influential inherent insightful integral interesting key large last
    lasting later latest little long main major many meaningful memorable more most much multiple natural new
    next notable noted noteworthy numerous often only original other outstanding overall own particular past
    personal pivotal poignant popular possible powerful prestigious prevalent previous primary profound
    prominent public rare real recent recognized refreshing relevant remarkable renowned respected rich right
    same second several significant similar simple single small special specific strong subsequent substantial
    such sure true typical unconventional underlying unique unusual upcoming useful usual valuable various vital
    vivid well wide wider young
    """
)
"""Adjectives of degree, order and esteem. They grade a noun and state no fact."""

__all__ = ["EVALUATIVE", "FRAME", "SHELL", "words"]
