"""Answers by `generate` of transformers: the reference that every faster engine is held against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rungwise.engines.fitted.decoding import Continued, Decoding, Heard, Rules


class TransformersDecoder:
    """A causal or encoder-decoder model in torch, on its own device.

    Prompts of a causal model are padded on the left, so that all rows go on at one place; those of an encoder on the
    right, so that positions count from the first token.
    """

    name = "transformers"

    def __init__(self, model: Any, rules: Rules) -> None:
        self._model, self._rules = model, rules
        model.generation_config = type(model.generation_config)()  # else `generate` fills our settings up from it
        self._encodes = bool(model.config.is_encoder_decoder)

    def __call__(self, prompts: Sequence[Sequence[int]], decoding: Decoding, heard: Heard | None = None) -> list[Continued]:
        """What `generate` writes after each prompt (B rows), greedy or drawn."""
        import torch

        ids, mask = self._padded(prompts)
        rows = _Rows(len(prompts), decoding, self._rules.ends, heard)
        with torch.inference_mode():
            made = self._model.generate(
                input_ids=ids,
                attention_mask=mask,
                generation_config=self._settings(decoding),
                logits_processor=[rows.choose],
                stopping_criteria=[rows.hear],
            )
        begin = 1 if self._encodes else ids.shape[1]
        return rows.continued(made[:, begin:].tolist())

    def _settings(self, decoding: Decoding) -> Any:
        """Always greedy: what is drawn is drawn by `_Rows.choose`, whose choice is the largest."""
        rules = self._rules
        start = {"decoder_start_token_id": rules.start} if self._encodes else {}
        return type(self._model.generation_config)(
            max_new_tokens=decoding.max_tokens,
            do_sample=False,
            num_beams=1,
            eos_token_id=list(rules.ends) or None,
            pad_token_id=rules.pad,
            suppress_tokens=list(rules.never) or None,
            **start,
            **rules.penalties,
        )

    def _padded(self, prompts: Sequence[Sequence[int]]) -> tuple[Any, Any]:
        """Token ids and mask (B, T)."""
        import torch

        longest = max(len(prompt) for prompt in prompts)
        ids = torch.full((len(prompts), longest), self._rules.pad)
        mask = torch.zeros((len(prompts), longest), dtype=torch.long)
        for row, prompt in enumerate(prompts):
            place = slice(0, len(prompt)) if self._encodes else slice(longest - len(prompt), longest)
            ids[row, place] = torch.tensor(prompt)
            mask[row, place] = 1
        device = self._model.device
        return ids.to(device), mask.to(device)


class _Rows:
    """The rows of one batch while they grow: draws their tokens, keeps their log-probabilities, ends those that are to end."""

    def __init__(self, count: int, decoding: Decoding, ends: Sequence[int], heard: Heard | None) -> None:
        import torch

        self._decoding, self._ends, self._heard = decoding, frozenset(ends), heard
        self._draws = [torch.Generator().manual_seed(decoding.seed) for _ in range(count if decoding.temperature else 0)]
        self._log: Any = None
        self._logprobs: list[Any] = []
        self._done = [False] * count
        self._sizes: list[int | None] = [None] * count

    def choose(self, ids: Any, logits: Any) -> Any:
        """Logits (B, V) whose largest one is the token to take.

        The largest of log-probabilities plus Gumbel noise is a draw from them (Gumbel 1954; Maddison et al. 2014, section 2).
        Each row has noise of its own, so that its text does not depend on its neighbours.
        """
        import torch

        self._log = torch.log_softmax(logits.float(), dim=-1)
        if not self._draws:
            return logits
        kept = _nucleus(logits.float() / self._decoding.temperature, self._decoding.top_p)
        size = kept.shape[1]
        uniform = torch.stack([torch.rand(size, generator=draw, dtype=torch.float64) for draw in self._draws])
        noise = -torch.log(-torch.log(uniform.clamp(1e-300, 1 - 1e-16)))
        return kept + noise.to(device=kept.device, dtype=kept.dtype)

    def hear(self, ids: Any, scores: Any, **_: Any) -> Any:
        """Which rows (B,) end with their newest token, beyond those that an end token or the length ends."""
        import torch

        newest = ids[:, -1:]
        self._logprobs.append(self._log.gather(1, newest)[:, 0])
        if self._heard is not None:
            for row, token in enumerate(newest[:, 0].tolist()):
                if self._done[row]:
                    continue
                self._done[row] = self._heard(row, token) or token in self._ends
                if self._done[row]:
                    self._sizes[row] = len(self._logprobs)
        return torch.tensor(self._done, device=ids.device)

    def continued(self, made: list[list[int]]) -> list[Continued]:
        """Each row up to where it ended; padding is cut off."""
        import torch

        logprobs = torch.stack(self._logprobs, dim=1).tolist()
        found = []
        for row, ids in enumerate(made):
            size = self._sizes[row] or next((place + 1 for place, one in enumerate(ids) if one in self._ends), len(ids))
            found.append(Continued(ids[:size], sum(logprobs[row][:size])))
        return found


def _nucleus(logits: Any, top_p: float) -> Any:
    """Logits (B, V) with minus infinity wherever likelier tokens have `top_p` of the probability already."""
    import torch

    if top_p >= 1:
        return logits
    ordered, places = torch.sort(logits, dim=-1, descending=True)
    shares = torch.softmax(ordered, dim=-1)
    ordered = ordered.masked_fill(shares.cumsum(dim=-1) - shares >= top_p, float("-inf"))
    return torch.empty_like(logits).scatter_(1, places, ordered)
