"""How much memory a piece of work takes at its peak."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rungwise.core.errors import UsageError

EVERY_S = 0.05
_STATUS = Path("/proc/self/status")


@dataclass
class Peak:
    """The highest number of bytes seen: resident ones of this process, or those of the accelerator where one was used."""

    bytes: int = 0


@contextmanager
def watching_memory(device: str = "cpu") -> Iterator[Peak]:
    """Look at the memory of this process 20 times a second while the block runs; on cuda, torch counts what it allocated."""
    peak, done = Peak(resident_bytes()), threading.Event()
    if device != "cpu":
        import torch

        torch.cuda.reset_peak_memory_stats(device)

    def look() -> None:
        while not done.wait(EVERY_S):
            peak.bytes = max(peak.bytes, resident_bytes())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()
        peak.bytes = max(peak.bytes, resident_bytes())
        if device != "cpu":
            import torch

            peak.bytes = int(torch.cuda.max_memory_allocated(device))


def check_device(device: str) -> None:
    """Raise UsageError for a device that is not here."""
    if device == "cpu":
        return
    import torch

    if device.split(":")[0] != "cuda" or not torch.cuda.is_available():
        raise UsageError(f"there is no device '{device}' here. To train on the processor, leave it out")


def resident_bytes() -> int:
    """The bytes of this process that are in memory now; 0 where the system does not say."""
    try:
        text = _STATUS.read_text(encoding="ascii")
    except OSError:
        return 0
    return int(text.split("VmRSS:", 1)[1].split()[0]) * 1024


def available_bytes(device: str = "cpu") -> int | None:
    """The bytes that can still be had: free memory of the machine or the accelerator; None where the system does not say."""
    if device != "cpu":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    return int(text.split("MemAvailable:", 1)[1].split()[0]) * 1024
