"""Whether a fast encoder gives the vectors, and the order of neighbours, that torch gives in fp32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rungwise.engines.encoders.encode import Encode, Vectors

NEIGHBOURS = 10
LEAST_MEAN, LEAST_MIN, LEAST_OVERLAP = 0.9999, 0.999, 0.95
"""Measured over these texts and over 1,000 abstracts (benchmarks/encoders.py): bf16 has a mean cosine of 0.99998, 0.9999 at worst
and 0.99 of the ten nearest; fp32 has 1. What rounds to 8 bits has 0.993, 0.979 and 0.93 or less, and must not pass."""

SENTENCES = (
    "Where is my parcel?",
    "refund",
    "I was charged twice for the order I placed on Monday, and nobody has answered my mails since.",
    "To reset the password, open Settings, choose Security, and follow the link that is sent to you within ten minutes.",
    "The warranty covers parts and labour for 24 months from the date of purchase; batteries are covered for 6 months.",
    "Error 0x80070005: access is denied (os error 5) while writing C:\\Users\\me\\AppData\\Local\\Temp\\x.tmp",
    "In a randomised trial of 412 adults, the treatment lowered systolic pressure by 7.3 mmHg (95% CI 4.1 to 10.5) after 12 weeks.",
    "Die Lieferung verzögert sich leider um zwei bis drei Werktage.",
    "¿Puedo cambiar la dirección de entrega después de haber pagado?",
    "Les frais de dossier ne sont pas remboursables, sauf si le voyage est annulé par l'organisateur.",
    "O contrato pode ser rescindido por qualquer das partes com aviso prévio de trinta dias.",
    "荷物はいつ届きますか。",
    "Где находится ближайшее отделение банка?",
    "def median(values):\n    ordered = sorted(values)\n    return ordered[len(ordered) // 2]",
    "| plan | price | seats |\n| --- | --- | --- |\n| team | 29.00 | 5 |\n| company | 99.00 | 25 |",
    "Ships sail at noon on Tuesdays & Fridays 🚢; tickets: +44 20 7946 0958, or tickets@example.org.",
    "Mitochondria of neurons deficient in the gene took up less calcium, and their membrane potential fell sooner.",
    "Interest is calculated daily on the outstanding balance and charged on the last working day of each month.",
    "The tenant shall keep the premises in good repair and shall not sublet them without written consent.",
    "Preheat the oven to 200 °C, toss the squash with oil and thyme, and roast it for 35 minutes until its edges are brown.",
    "The committee adopted the report by 14 votes to 3, with 2 abstentions, and adjourned until September.",
    "Which of the two phones has the better camera at night, and does either of them take a second SIM card?",
    "A short circuit in the pump's controller stopped the line at 03:40; it ran again after the board was replaced.",
    "What is the difference between gross and net pay?",
)


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Cosines to the exact vectors, mean and least, and the share of the ten nearest texts that are the same."""

    mean: float
    least: float
    overlap: float

    @property
    def holds(self) -> bool:
        """Whether the encoder may stand in for the exact one."""
        return self.mean >= LEAST_MEAN and self.least >= LEAST_MIN and self.overlap >= LEAST_OVERLAP

    def __str__(self) -> str:
        return f"mean cosine {self.mean:.5f}, least {self.least:.5f}, {self.overlap:.3f} of the ten nearest"


def check_texts() -> tuple[str, ...]:
    """A fixed set of texts of all lengths, from none to more than any encoder reads; equal on every machine."""
    texts = ["", *SENTENCES]
    for count in (2, 3, 5, 8, 13, 24):
        for start in range(0, len(SENTENCES), max(3, count // 2)):
            texts.append(" ".join(SENTENCES[(start + 5 * step) % len(SENTENCES)] for step in range(count)))
    return tuple(texts)


def fidelity(encode: Encode, exact: Encode, texts: Sequence[str]) -> Fidelity:
    """How near the vectors of one encoder are to another's over the same texts. Vectors that are no numbers count as cosine -1."""
    found, wanted = encode(texts), exact(texts)
    cosines = np.nan_to_num((found * wanted).sum(axis=1), nan=-1.0)
    return Fidelity(float(cosines.mean()), float(cosines.min()), top_overlap(found, wanted))


def top_overlap(found: Vectors, wanted: Vectors, *, k: int = NEIGHBOURS) -> float:
    """Mean share of the k nearest others of each row of (n, d) that both sets of vectors agree on."""
    near, right = _nearest(found, k), _nearest(wanted, k)
    return float(np.mean([len(set(one) & set(other)) / len(other) for one, other in zip(near, right, strict=True)]))


def _nearest(vectors: Vectors, k: int) -> list[list[int]]:
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    return [list(map(int, row)) for row in np.argsort(-cosines, axis=1, kind="stable")[:, : min(k, len(vectors) - 1)]]
