"""How simulated people put things: openers and order numbers of their own, and the ways in which wording shifts."""

from __future__ import annotations

import re

from numpy.random import Generator

OPENERS = ("hi, ", "hello, ", "hey, ", "hi there, ", "good morning, ", "quick question: ", "sorry to bother you, ", "dear team, ")
CLOSERS = (" thanks", " thank you", " please", " thanks in advance", " cheers", " please reply soon", " best regards")
_OPENERS_PT = ("bom dia, ", "olá, ", "boa tarde, ", "desculpem incomodar, ", "caros senhores, ")
_CLOSERS_PT = (" obrigado", " muito obrigada", " por favor", " com os melhores cumprimentos")
_THINGS = (
    "lamp", "kettle", "rug", "mirror", "bookshelf", "toaster", "duvet", "armchair", "vase", "pan", "blender", "curtain", "stool",
    "clock", "basket", "pillow", "desk", "fan", "tray", "bench",
)  # fmt: skip
_KINDS = ("blue", "small", "oak", "grey", "second", "large", "white", "folding", "round", "green")
_WHEN = ("on Monday", "last week", "for my sister", "two days ago", "in the sale", "this morning", "at the weekend", "in March")
_DETAILS = (
    "I bought a {kind} {thing} {when}. {text}",
    "{text} (the {kind} {thing} from my basket, {when})",
    "{text} It concerns the {thing}, the {kind} one, {when}.",
    "About my {kind} {thing} {when}: {text}",
    "{text} My {thing} is the {kind} model, chosen {when}.",
)
_ORDER = re.compile(r"\bHX-\d{5}\b")
_EDGE = re.compile(r"\b[A-Z][a-z']")

# Ways of saying the same thing that the tickets seldom use; written for this simulator.
_SAYINGS = {
    "order": "purchase",
    "parcel": "box",
    "package": "box",
    "refund": "cash back",
    "money": "dough",
    "account": "profile",
    "password": "passcode",
    "delivery": "drop-off",
    "delivered": "dropped off",
    "deliver": "drop off",
    "return": "send back",
    "cancel": "scrap",
    "change": "switch",
    "broken": "busted",
    "wrong": "messed up",
    "address": "place",
    "invoice": "bill",
    "receipt": "bill slip",
    "subscription": "monthly thing",
    "card": "plastic",
    "paid": "coughed up",
    "pay": "settle",
    "payment": "transaction",
    "charged": "billed",
    "item": "thingy",
    "late": "overdue",
    "where": "whereabouts",
    "help": "gimme a hand",
    "please": "pls",
    "thanks": "thx",
    "you": "u",
    "your": "ur",
    "are": "r",
    "want": "wanna",
    "need": "gotta have",
    "because": "cuz",
    "with": "w/",
    "tomorrow": "tmrw",
    "today": "2day",
    "what": "wut",
    "cannot": "cant",
    "don't": "dont",
    "can't": "cant",
    "log": "hop",
    "login": "sign-on",
    "app": "application thing",
}
_WORD = re.compile(r"[A-Za-z']+")

_STORIES = (
    "Let me explain how it came to this, since I have told the story twice already and nobody wrote it down.",
    "I have been a customer for about six years and until now there was nothing I could complain about, so I am surprised.",
    "My neighbour had the same thing last month and it took three calls until somebody found out what was going on.",
    "I am writing this on the train, so please excuse the mistakes; I will be home in the evening if anybody wants to call me.",
    "To be clear, I do not blame the person who wrote to me first, who was very kind, but the matter is still where it was.",
    "I looked through all the pages of the help centre before writing and none of them says what to do in a case like mine.",
)


def dressed(text: str, rng: Generator) -> str:
    """A text as one person would send it: another order number, at times a detail, an opener, a closer. The meaning stays."""
    if "HX-" in text:
        text = _ORDER.sub(lambda _: f"HX-{int(rng.integers(10_000, 100_000))}", text)
    before, after, which, detail = rng.random(4)
    if detail < 0.3:
        text = _detailed(text, rng)
    if before < 0.3:
        text = OPENERS[int(which * len(OPENERS))] + (text[:1].lower() + text[1:] if _EDGE.match(text) else text)
    if after < 0.25:
        text = text.rstrip(". ") + ("" if text.endswith(("?", "!")) else ",") + CLOSERS[int(which * 97) % len(CLOSERS)]
    return text


def _detailed(text: str, rng: Generator) -> str:
    """With a word on what was bought, so that hardly two requests are alike."""
    lists = (_DETAILS, _KINDS, _THINGS, _WHEN)
    form, kind, thing, when = (several[int(rng.integers(len(several)))] for several in lists)
    return form.format(kind=kind, thing=thing, when=when, text=text)


def translated(text: str, rng: Generator) -> str:
    """A Portuguese text as one person would send it."""
    before, after, which = rng.random(3)
    text = _OPENERS_PT[int(which * len(_OPENERS_PT))] + text[:1].lower() + text[1:] if before < 0.3 else text
    return text.rstrip(".") + _CLOSERS_PT[int(which * 97) % len(_CLOSERS_PT)] if after < 0.25 else text


def reworded(text: str, rng: Generator) -> str:
    """The same matter in slang and haste: other words, dropped letters, no capitals."""
    said = _WORD.sub(lambda found: _SAYINGS.get(found[0].lower(), found[0]), text).lower()
    words = said.split(" ")
    for n, word in enumerate(words):
        if len(word) > 4 and word.isalpha() and rng.random() < 0.5:
            at = int(rng.integers(1, len(word) - 1))
            words[n] = word[:at] + (word[at + 1 :] if rng.random() < 0.5 else word[at + 1] + word[at] + word[at + 2 :])
    return ("yo " if rng.random() < 0.3 else "") + " ".join(words).rstrip("?.!")


def lengthened(text: str, rng: Generator) -> str:
    """The same question with a story around it."""
    first, second = (int(one) for one in rng.choice(len(_STORIES), 2, replace=False))
    return f"{_STORIES[first]} {text} {_STORIES[second]}"
