"""A classifier of one's own, from nothing: a tokenizer made of the training rows and a small encoder with drawn weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rungwise.core.errors import MissingExtra
from rungwise.engines.encoders.encode import encodable
from rungwise.engines.fitted.classifier import ABOUT, About
from rungwise.engines.fitted.files import Files
from rungwise.engines.fitted.models import CLASSIFIER, TOKENIZER, TOKENIZER_CONFIG, model_files, new_model
from rungwise.engines.fitted.token_ids import TokenIds
from rungwise.fit.checkpoints import Checkpoints
from rungwise.fit.classifier import naming
from rungwise.fit.finetune import Step, seeded
from rungwise.fit.fit import Fit
from rungwise.fit.label_learning import LabelTraining, learn_labels
from rungwise.fit.labelled import Row, labelled, labels_of
from rungwise.fit.parallel import ALONE, Parallel

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""Their places in this list are their ids, as in BERT's first token, [PAD], which is id 0."""


@dataclass(frozen=True, kw_only=True)
class SmallEncoderSettings(LabelTraining):
    """A small encoder and how it is taught; see `LabelTraining` for the rest.

    `words` is the most pieces of words that its tokenizer knows. `layers` of `width` with `heads` heads are those of BERT-mini
    cut to two (Turc et al. 2019, arXiv 1908.08962, table 1).
    """

    words: int = 4_000
    layers: int = 2
    width: int = 256
    heads: int = 4
    dropout: float = 0.1
    lr: float = 1e-3
    epochs: int = 15
    max_tokens: int = 128


def fit_small_encoder(
    rows: Sequence[Row],
    settings: SmallEncoderSettings | None = None,
    *,
    labels: Sequence[str] | None = None,
    on_step: Callable[[Step], None] | None = None,
    checkpoints: Checkpoints | None = None,
    parallel: Parallel = ALONE,
) -> Fit:
    """Fit a classifier without any base; its files are a `BertForSequenceClassification` folder with its own tokenizer.

    Raises CannotFit for rows that cannot be learned from, UnknownName for a label that is not among `labels`.
    """
    settings = settings or SmallEncoderSettings()
    found = labels_of(rows, labels, multi_label=settings.multi_label)
    files = word_pieces([text for text, _ in rows], most=settings.words)
    tokens = TokenIds(files, max_tokens=settings.max_tokens)
    data = labelled(rows, found, tokens, multi_label=settings.multi_label, held_out=settings.held_out, seed=settings.seed)
    with seeded(settings.seed):
        model = new_model(_config(settings, tokens.size) | naming(found, multi_label=settings.multi_label), CLASSIFIER)
    learned = learn_labels(
        model, data, settings, rate_of=lambda name: 1.0, on_step=on_step, checkpoints=checkpoints, parallel=parallel
    )
    about = About(labels=found, max_tokens=settings.max_tokens, calibration=learned.calibration)
    told = {**learned.told, "words": float(tokens.size)}
    return Fit(files={**model_files(model, files), ABOUT: about.data()}, trained=learned.trained, told=told)


def word_pieces(texts: Iterable[str], *, most: int) -> Files:
    """tokenizer.json and its settings: byte-level BPE on lower-case text (Radford et al. 2019, section 2.2), `most` pieces.

    Equal texts give equal bytes, which the WordPiece trainer of the library does not keep. Raises MissingExtra without it.
    """
    try:
        from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    except ImportError as error:
        raise MissingExtra("making a tokenizer", "local") from error
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=most,
        min_frequency=2,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([encodable(text) for text in texts], trainer)
    begin, end = SPECIAL.index("[CLS]"), SPECIAL.index("[SEP]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", begin), ("[SEP]", end)]
    )
    names: dict[str, Any] = {f"{name[1:-1].lower()}_token": name for name in SPECIAL}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **names}
    return {
        TOKENIZER: tokenizer.to_str().encode(),
        TOKENIZER_CONFIG: (json.dumps(settings, indent=1, sort_keys=True) + "\n").encode(),
    }


def _config(settings: SmallEncoderSettings, words: int) -> dict[str, Any]:
    return {
        "model_type": "bert",
        "vocab_size": words,
        "hidden_size": settings.width,
        "num_hidden_layers": settings.layers,
        "num_attention_heads": settings.heads,
        "intermediate_size": 4 * settings.width,
        "max_position_embeddings": settings.max_tokens,
        "type_vocab_size": 2,
        "hidden_dropout_prob": settings.dropout,
        "attention_probs_dropout_prob": settings.dropout,
    }
