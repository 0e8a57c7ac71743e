"""How each of the seven sets words its questions.

``{s}`` is what is asked about: a name, or a noun phrase built by nesting ``NOUNS`` from the inside
out; ``{S}`` is the same with a capital. Multi-hop sets say what kind of work a name is as their
style has it (``WORKS``).
"""

from __future__ import annotations

from searchr2.world.problems import Problem

Forms = dict[str, tuple[str, ...]]

_NQ: Forms = {
    "director": ("who directed {s}", "who was the director of {s}"),
    "star": ("who stars in {s}", "who is the star of {s}"),
    "released": ("when was {s} released", "what year was {s} released"),
    "author": ("who wrote {s}", "who is the author of {s}"),
    "published": ("when was {s} published", "what year was {s} published"),
    "performer": ("who sang {s}", "who is the singer of {s}"),
    "recorded": ("when was {s} recorded", "what year was {s} recorded"),
    "birthplace": ("where was {s} born", "what city was {s} born in"),
    "spouse": ("who is {s} married to", "who is the spouse of {s}"),
    "employer": ("who does {s} work for", "what company does {s} work for"),
    "country": ("what country is {s} in", "where is the city of {s}"),
    "mayor": ("who is the mayor of {s}", "who leads the city of {s}"),
    "founder": ("who founded {s}", "who was the founder of {s}"),
    "home": ("where is {s} based", "what city is {s} based in"),
}
_TRIVIAQA: Forms = {
    "director": (
        "Which person directed the film {s}?",
        "Can you name the director of the film {s}?",
    ),
    "star": ("Which person stars in the film {s}?", "Can you name the star of the film {s}?"),
    "released": ("In which year was the film {s} first released?",),
    "author": ("Which person wrote the novel {s}?", "Can you name the author of the novel {s}?"),
    "published": ("In which year was the novel {s} first published?",),
    "performer": (
        "Which person first sang the song {s}?",
        "Can you name the singer of the song {s}?",
    ),
    "recorded": ("In which year was the song {s} first recorded?",),
    "birthplace": ("Which city was the birthplace of {s}?", "In which city was {s} born?"),
    "spouse": ("Which person is married to {s}?", "Can you name the spouse of {s}?"),
    "employer": ("For which company does {s} work?", "Can you name the employer of {s}?"),
    "country": ("In which country is the city of {s}?", "The city of {s} is in which country?"),
    "mayor": ("Which person is mayor of the city of {s}?", "Can you name the mayor of {s}?"),
    "founder": ("Which person founded the company {s}?", "Can you name the founder of {s}?"),
    "home": ("In which city is the company {s} based?", "The company {s} is based in which city?"),
}
_POPQA: Forms = {
    "director": ("Who was the director of {s}?",),
    "star": ("Who was the star of {s}?",),
    "released": ("In what year was {s} released?",),
    "author": ("Who is the author of {s}?",),
    "published": ("In what year was {s} published?",),
    "performer": ("Who is the performer of {s}?",),
    "recorded": ("In what year was {s} recorded?",),
    "birthplace": ("In what city was {s} born?",),
    "spouse": ("Who is the spouse of {s}?",),
    "employer": ("What is the employer of {s}?",),
    "country": ("In what country is {s}?",),
    "mayor": ("Who is the mayor of {s}?",),
    "founder": ("Who is the founder of {s}?",),
    "home": ("In what city is {s} based?",),
}
_HOTPOTQA: Forms = {
    "birthplace": ("In which city was {s} born?", "{S} was born in which city?"),
    "spouse": ("Which person is married to {s}?", "{S} is married to which person?"),
    "employer": ("Which company does {s} work for?", "{S} works for which company?"),
    "country": ("In which country is {s}?", "{S} is in which country?"),
    "mayor": ("Which person is the mayor of {s}?", "{S} is led by which mayor?"),
    "founder": ("Which person founded {s}?", "{S} was founded by which person?"),
    "home": ("In which city is {s} based?", "{S} is based in which city?"),
}
_2WIKI: Forms = {
    "birthplace": ("What is the place of birth of {s}?", "Where was {s} born?"),
    "spouse": ("Who is the spouse of {s}?",),
    "employer": ("Where does {s} work?", "What is the employer of {s}?"),
    "country": ("What is the country of {s}?",),
    "mayor": ("Who is the mayor of {s}?",),
    "founder": ("Who is the founder of {s}?",),
    "home": ("Where is {s} based?",),
}
_MUSIQUE: Forms = {
    "birthplace": ("What is the birthplace of {s}?", "In what city was {s} born?"),
    "spouse": ("Who married {s}?", "Who is the spouse of {s}?"),
    "employer": ("What company is the employer of {s}?",),
    "country": ("What country contains {s}?", "In what country is {s}?"),
    "mayor": ("Who is the mayor of {s}?",),
    "founder": ("Who founded {s}?", "Who was the founder of {s}?"),
    "home": ("In what city is {s} based?",),
}
_BAMBOOGLE: Forms = {
    "birthplace": ("Where was {s} born?", "What city was {s} born in?"),
    "spouse": ("Who is {s} married to?",),
    "employer": ("Who does {s} work for?", "What company does {s} work for?"),
    "country": ("What country is {s} in?",),
    "mayor": ("Who leads {s}?", "Who is the mayor of {s}?"),
    "founder": ("Who founded {s}?",),
    "home": ("Where is {s} based?", "What city is {s} based in?"),
}
ASKED = {
    "nq": _NQ,
    "triviaqa": _TRIVIAQA,
    "popqa": _POPQA,
    "hotpotqa": _HOTPOTQA,
    "2wikimultihopqa": _2WIKI,
    "musique": _MUSIQUE,
    "bamboogle": _BAMBOOGLE,
}
"""Set -> relation -> the question for its value."""

NOUNS: Forms = {
    "director": ("the director of {s}", "the person who directed {s}"),
    "star": ("the star of {s}", "the person who stars in {s}"),
    "author": ("the author of {s}", "the person who wrote {s}"),
    "performer": ("the performer of {s}", "the person who sang {s}"),
    "birthplace": ("the birthplace of {s}", "the city where {s} was born"),
    "spouse": ("the spouse of {s}", "the person married to {s}"),
    "employer": ("the employer of {s}", "the company that {s} works for"),
    "mayor": ("the mayor of {s}", "the person who leads {s}"),
    "founder": ("the founder of {s}", "the person who founded {s}"),
    "home": ("the home city of {s}", "the city where {s} is based"),
}
"""Relation -> its value as a noun phrase: plain, and with a clause."""

WORKS = {"hotpotqa": "the {kind} {s}", "2wikimultihopqa": "{kind} {s}", "musique": "the {kind} {s}"}
"""How a set names a film, novel or song inside a longer question (elsewhere: its bare name)."""

PAIRED: Forms = {
    "earlier": (
        "Which {kind} was {verb} first, {a} or {b}?",
        "Which {kind} was {verb} earlier, {a} or {b}?",
    ),
    "later": (
        "Which {kind} was {verb} later, {a} or {b}?",
        "Which {kind} was {verb} last, {a} or {b}?",
    ),
    "birthplace": ("Were {a} and {b} born in the same city?",),
    "employer": ("Do {a} and {b} work for the same company?",),
    "country": ("Are {a} and {b} in the same country?",),
    "home": ("Are {a} and {b} based in the same city?",),
}


def wordings(problem: Problem, dataset: str) -> list[str]:
    """Every way the set has of asking this; the first is its plainest."""
    first, last = problem.hops[0], problem.hops[-1]
    if problem.kind == "chain":
        return [
            form.format(s=phrase, S=phrase[0].upper() + phrase[1:])
            for phrase in _phrases(problem, dataset)
            for form in ASKED[dataset][last.relation.key]
        ]
    if problem.kind in ("earlier", "later"):
        slots = {"kind": first.subject.kind, "verb": first.relation.keyword}
        a, b = first.subject.name, last.subject.name
        return [form.format(a=a, b=b, **slots) for form in PAIRED[problem.kind]]
    half = len(problem.hops) // 2
    a, b = (_phrases(Problem("chain", problem.hops[i : i + half]), dataset)[0] for i in (0, half))
    return [form.format(a=a, b=b) for form in PAIRED[last.relation.key]]


def _phrases(problem: Problem, dataset: str) -> list[str]:
    """The last hop's subject as each of the two kinds of noun phrase; a bare name for one hop."""
    subject, inner = problem.hops[0].subject, problem.relations[:-1]
    if not inner:
        return [subject.name]
    typed = subject.kind in ("film", "novel", "song") and dataset in WORKS
    name = WORKS[dataset].format(kind=subject.kind, s=subject.name) if typed else subject.name
    phrases = []
    for style in (0, 1):
        phrase = name
        for relation in inner:
            phrase = NOUNS[relation][style].format(s=phrase)
        phrases.append(phrase)
    return phrases
