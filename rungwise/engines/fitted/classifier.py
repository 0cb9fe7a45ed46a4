"""A fitted classifier at work: an encoder with a head, whole or as an adapter on its base, from texts to honest probabilities."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import Corrupt, MissingExtra, UsageError
from rungwise.core.record import canonical_json
from rungwise.engines.bert import bert_of
from rungwise.engines.encoders.batches import in_batches
from rungwise.engines.encoders.processor import has_bf16
from rungwise.engines.fitted.adapters import ADAPTER, merged
from rungwise.engines.fitted.files import Files, folder_digest
from rungwise.engines.fitted.models import CLASSIFIER, CONFIG, TOKENIZER, load_model, model_files, read_config
from rungwise.engines.fitted.token_ids import TokenIds
from rungwise.engines.linear import Calibration

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float32]
Network = Callable[["Tensor", "Tensor"], "Tensor"]
"""Token ids (B, T) and a mask (B, T), 1 for tokens and 0 for padding, to logits (B, labels)."""

ABOUT, TECHNIQUE = "classifier.json", "classifier"
BATCH_TOKENS = 8_192  # padded tokens of one batch, as for sentences


@dataclass(frozen=True, kw_only=True)
class About:
    """What a classifier's own file says of it: labels in the order of the logits, its room in tokens, calibration, its base."""

    labels: tuple[str, ...]
    max_tokens: int
    calibration: Calibration
    base: str = ""
    base_digest: str = ""

    def data(self) -> bytes:
        """As JSON."""
        return canonical_json({"technique": TECHNIQUE, **asdict(self)}).encode("utf-8", "surrogatepass")

    @classmethod
    def read(cls, files: Mapping[str, bytes]) -> About:
        """Read what `data` wrote. Raises Corrupt when that is not what it is."""
        try:
            found = json.loads(files[ABOUT].decode("utf-8", "surrogatepass"))
            if found.pop("technique") != TECHNIQUE:
                raise ValueError("it is of another technique")
            labels, calibration = tuple(map(str, found.pop("labels"))), Calibration(**found.pop("calibration"))
            about = cls(labels=labels, calibration=calibration, **found)
            if not labels or about.max_tokens < 1 or not np.isfinite([calibration.slope, calibration.offset]).all():
                raise ValueError("it holds no labels, no room or no finite calibration")
            return about
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Corrupt(f"{ABOUT} is missing or cannot be read: {error}. Fit the classifier again") from error


class Classifier:
    """Texts to the probabilities of labels. For any number of threads.

    `threshold` is the probability from which a label of a multi-label answer is given. `cut` counts the texts so far that
    had more than `max_tokens` tokens: what is beyond them was not read.
    """

    def __init__(self, about: About, tokens: TokenIds, network: Network, *, device: str = "cpu") -> None:
        self.labels, self.max_tokens, self.calibration = about.labels, about.max_tokens, about.calibration
        self.multi_label, self.threshold = about.calibration.multi_label, about.calibration.threshold
        self.cut = 0
        self._tokens, self._network, self._device = tokens, network, device
        self._lock = threading.Lock()  # torch shares its threads: two calls at once are slower than one after the other

    @classmethod
    def load(
        cls, files: Mapping[str, bytes], base: Mapping[str, bytes] | None = None, *, bf16: bool | None = None, device: str = "cpu"
    ) -> Classifier:
        """The classifier of a folder; an adapter needs the files of its `base`, into whose weights it is added.

        `bf16` None means where the processor multiplies it natively. Raises Corrupt when the files do not go together,
        UsageError when an adapter comes without its base, MissingExtra without the libraries.
        """
        about = About.read(files)
        half = bf16 if bf16 is not None else device != "cpu" or has_bf16()
        whole = _with_base(files, base, about) if ADAPTER in files else dict(files)
        if read_config(whole).get("num_labels", len(_names(whole))) != len(about.labels) or _names(whole) != about.labels:
            raise Corrupt(f"{CONFIG} and {ABOUT} name different labels. Fit the classifier again")
        tokens = TokenIds(whole, max_tokens=about.max_tokens)
        return cls(about, tokens, network_of(whole, half=half, device=device), device=device)

    def logits(self, texts: Sequence[str]) -> Floats:
        """(n, labels) float32, before calibration."""
        import torch

        found = np.empty((len(texts), len(self.labels)), dtype=np.float32)
        encoded = self._tokens(texts)
        with self._lock, torch.inference_mode():
            self.cut += encoded.cut
            for batch in in_batches(encoded.ids, limit_tokens=BATCH_TOKENS):
                ids, mask = (torch.from_numpy(one).to(self._device) for one in (batch.ids, batch.mask))
                found[batch.rows] = self._network(ids, mask).float().cpu().numpy()
        if not np.isfinite(found).all():
            raise Corrupt("a classifier gives logits that are no numbers. Fit it again")
        return found

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """(n, labels) float32; of a single-label classifier each row adds up to 1."""
        return self.calibration.probabilities(self.logits(texts))


def network_of(files: Mapping[str, bytes], *, half: bool, device: str) -> Network:
    """The logits of a whole model's files. A plain BERT is computed without a model library: `benchmarks/clinc_training.py`."""
    if device == "cpu" and read_config(files).get("architectures") == ["BertForSequenceClassification"]:
        return _bert(files, half=half)
    model = load_model(files, CLASSIFIER, dtype="bfloat16" if half else "float32", device=device)

    def network(ids: Tensor, mask: Tensor) -> Tensor:
        found: Tensor = model(input_ids=ids, attention_mask=mask).logits
        return found

    return network


def base_digest(base: Mapping[str, bytes]) -> str:
    """SHA-256 over what shapes the numbers of a base: settings, tokenizer and weights."""
    return folder_digest(
        {name: data for name, data in base.items() if name in (CONFIG, TOKENIZER) or name.endswith(".safetensors")}
    )


def _bert(files: Mapping[str, bytes], *, half: bool) -> Network:
    """The encoder in bf16 or fp32; pooling layer (Devlin et al. 2018: tanh of the first token) and head in fp32."""
    torch = _torch()
    forward, weights, _ = bert_of(files, torch.bfloat16 if half else torch.float32)
    try:
        pool, head = ([weights[f"{name}.{part}"].float() for part in ("weight", "bias")] for name in ("pooler.dense", "classifier"))
    except KeyError as error:
        raise Corrupt(f"a classifier lacks the weights {error}. Fit it again") from error
    if head[0].shape[0] != len(_names(files)):
        raise Corrupt(f"a classifier has {head[0].shape[0]} outputs for {len(_names(files))} labels. Fit it again")

    def network(ids: Tensor, mask: Tensor) -> Tensor:
        # Rows of equal length need no mask, and without one the faster attention is used.
        first = forward(ids, None if bool(mask.all()) else mask)[:, 0].float()
        linear = torch.nn.functional.linear
        found: Tensor = linear(torch.tanh(linear(first, *pool)), *head)
        return found

    return network


def _with_base(files: Mapping[str, bytes], base: Mapping[str, bytes] | None, about: About) -> Files:
    """The files of the whole model that an adapter and its base are."""
    torch = _torch()
    if base is None:
        raise UsageError(f"this classifier is an adapter on {about.base or 'a base model'}. Name the folder of that model too")
    if about.base_digest and about.base_digest != base_digest(base):
        raise Corrupt(
            f"this classifier was fitted on another {about.base or 'base model'}: its SHA-256 differs. Fit it again on this base"
        )
    with torch.random.fork_rng():  # head and adapter are drawn, and replaced at once
        model = load_model({**base, CONFIG: files[CONFIG]}, CLASSIFIER, num_labels=len(about.labels))
        whole = merged(model, files)
    return {**model_files(whole, base), ABOUT: files[ABOUT]}


def _names(files: Mapping[str, bytes]) -> tuple[str, ...]:
    """The labels of config.json, in the order of the logits."""
    try:
        named = {int(place): str(name) for place, name in read_config(files)["id2label"].items()}
        return tuple(named[place] for place in range(len(named)))
    except (KeyError, ValueError, AttributeError) as error:
        raise Corrupt(f"{CONFIG} names no labels: {error}. Fit the classifier again") from error


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("running a fitted model", "local") from error
    return torch
