"""The tagger's last loops: rows of weights to labels, and one pass of training; a linear-chain conditional random field."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def scores(rows, weights, scale, out):  # type: ignore[no-untyped-def]
    """The score of each label for each token: the sum of its rows of `weights` (2 ** BITS, K), times `scale`, into `out` (n, K)."""
    n, width = out.shape
    for i in range(n):
        for k in range(width):
            out[i, k] = 0.0
        for slot in range(rows.shape[1]):
            row = rows[i, slot]
            if row:
                for k in range(width):
                    out[i, k] += weights[row, k]
        for k in range(width):
            out[i, k] *= scale


@njit(cache=True, nogil=True)
def encourage(emissions, codes, starts, case_of, courage):  # type: ignore[no-untyped-def]
    """Add `courage` (K,) to the scores of each token that does not begin with a small letter; in `emissions` (n, K), in place."""
    for i in range(starts.size):
        if case_of[min(codes[starts[i]], 65535)] != 2:
            emissions[i] += courage


@njit(cache=True, nogil=True)
def decode(emissions, transitions, begin, labels):  # type: ignore[no-untyped-def]
    """The best sequence of labels (Viterbi), into `labels` (n,).

    `emissions` (n, K); `transitions` (K, K), from row to column; `begin` (K,).
    """
    n, width = emissions.shape
    back = np.empty((n, width), np.int8)
    best, after = np.empty(width), np.empty(width)
    for k in range(width):
        best[k] = begin[k] + emissions[0, k]
    for i in range(1, n):
        for k in range(width):
            top, where = best[0] + transitions[0, k], 0
            for j in range(1, width):
                value = best[j] + transitions[j, k]
                if value > top:
                    top, where = value, j
            back[i, k], after[k] = where, top + emissions[i, k]
        best[:] = after
    label = np.argmax(best)
    for i in range(n - 1, -1, -1):
        labels[i] = label
        label = back[i, label]


@njit(cache=True, nogil=True)
def _log_sum(values):  # type: ignore[no-untyped-def]
    top = values.max()
    return top + np.log(np.exp(values - top).sum())


@njit(cache=True, nogil=True)
def _marginals(emissions, transitions, begin, pairs, singles):  # type: ignore[no-untyped-def]
    """Forward and backward sums of a linear chain; gives log Z.

    `pairs` (K, K) gets the expected transitions, `singles` (n, K) the marginals.
    """
    n, width = emissions.shape
    ahead, behind = np.empty((n, width)), np.zeros((n, width))
    ahead[0] = begin + emissions[0]
    for i in range(1, n):
        for k in range(width):
            ahead[i, k] = _log_sum(ahead[i - 1] + transitions[:, k]) + emissions[i, k]
    total = _log_sum(ahead[n - 1])
    for i in range(n - 2, -1, -1):
        for k in range(width):
            behind[i, k] = _log_sum(transitions[k] + emissions[i + 1] + behind[i + 1])
    pairs[:] = 0
    for i in range(n):
        for k in range(width):
            singles[i, k] = np.exp(ahead[i, k] + behind[i, k] - total)
            if i:
                for j in range(width):
                    pairs[j, k] += np.exp(ahead[i - 1, j] + transitions[j, k] + emissions[i, k] + behind[i, k] - total)
    return total


@njit(cache=True, nogil=True)
def train(rows, labels, limits, weights, seen, transitions, moved, begin, rate):  # type: ignore[no-untyped-def]
    """One pass of AdaGrad over sequences, by the likelihood of the chain; gives the mean loss in nats a token.

    `rows` (N, SLOTS) and `labels` (N,) hold all tokens, sequence j stands at `limits[j]:limits[j + 1]`. `weights` and `seen`
    (2 ** BITS, K), `transitions` and `moved` (K, K) are changed in place; transitions of -1e4 and less are forbidden and stay so.
    Source: Lafferty, McCallum, Pereira 2001 (the model); Duchi, Hazan, Singer 2011, section 4 (the steps).
    """
    width = weights.shape[1]
    pairs, loss = np.empty((width, width)), 0.0
    for sequence in range(limits.size - 1):
        first, last = limits[sequence], limits[sequence + 1]
        n = last - first
        emissions, singles = np.empty((n, width)), np.empty((n, width))
        scores(rows[first:last], weights, 1.0, emissions)
        loss += _marginals(emissions, transitions, begin, pairs, singles) - begin[labels[first]]
        for i in range(n):
            label = labels[first + i]
            loss -= emissions[i, label]
            singles[i, label] -= 1.0
            if i:
                before = labels[first + i - 1]
                loss -= transitions[before, label]
                pairs[before, label] -= 1.0
        _step(rows[first:last], singles, weights, seen, rate)
        for j in range(width):
            for k in range(width):
                if transitions[j, k] > -1e4 and pairs[j, k] != 0.0:
                    moved[j, k] += pairs[j, k] * pairs[j, k]
                    transitions[j, k] -= rate * pairs[j, k] / np.sqrt(moved[j, k] + 1e-6)
    return loss / rows.shape[0]


@njit(cache=True, nogil=True)
def _step(rows, slopes, weights, seen, rate):  # type: ignore[no-untyped-def]
    n, width = slopes.shape
    for i in range(n):
        for k in range(width):
            slope = np.float32(slopes[i, k])
            if abs(slope) < 1e-4:
                continue
            for slot in range(rows.shape[1]):
                row = rows[i, slot]
                if row:
                    seen[row, k] += slope * slope
                    weights[row, k] -= np.float32(rate) * slope / np.sqrt(seen[row, k] + np.float32(1e-6))
