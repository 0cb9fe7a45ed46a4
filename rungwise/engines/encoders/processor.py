"""What the processor of this machine computes fast."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def has_bf16() -> bool:
    """Whether the processor has matrix instructions for bf16; without them bf16 is slower than fp32."""
    return "amx_bf16" in _described() or "avx512_bf16" in _described()


@cache
def processor_name() -> str:
    """The kind of processor as the system names it, empty where it does not say."""
    lines = _described().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


@cache
def _described() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
