"""The process that reads documents which nobody vouches for: HTML and PDF, one at a time, under limits.

Parsers in C can crash, loop or ask for all memory on a file that was made for it. So they run here: a crash ends
this process and not the import, the system bounds its memory, and whoever waits bounds its time (`extractor.py`).
One request a line on stdin: `{"path", "kind", "encoding", "cap"}`. The answer is one line too: `{"text", "title", "pages"}`
or `{"code", "reason"}`.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from rungwise.data.lines import Damaged
from rungwise.data.sources.html import decode_html, html_text
from rungwise.data.sources.pdf import pdf_text


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The text and title of one document, or why there is none."""
    path, cap = Path(request["path"]), request["cap"]
    try:
        if request["kind"] == "pdf":
            text, title, pages = pdf_text(path, cap)
        else:
            text, title = html_text(decode_html(path.read_bytes(), request["encoding"]))
            pages = ()
        if len(text) > cap:
            raise Damaged("malformed:too_long", f"the text is longer than {cap:,} characters.", hint="Cut it into parts")
        if not text:
            raise Damaged("malformed:no_text", "the page holds no text.", hint="It may be built by scripts, which are not run")
    except Damaged as error:
        return {"code": error.code, "reason": error.reason}
    except MemoryError:
        return {"code": "refused:memory", "reason": "reading it takes more memory than the limit."}
    except OSError as error:
        return {"code": "malformed:unreadable", "reason": f"it cannot be read: {error.strerror or error}."}
    except Exception as error:  # noqa: BLE001 - boundary: whatever a hostile file does to a parser, the next file is read
        return {"code": "malformed:crash", "reason": f"its reader failed ({type(error).__name__}: {str(error)[:200]})."}
    return {"text": text, "title": title, "pages": pages}


def main() -> None:
    """Answer until stdin ends. The first argument is the limit of memory in bytes."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # no such limit on this system: time and size still bound it
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), int(sys.argv[1])))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    for line in sys.stdin.buffer:
        out.write(json.dumps(answer(json.loads(line))).encode() + b"\n")
        out.flush()


if __name__ == "__main__":
    main()
