"""Lines for people: on a terminal they break between words, elsewhere each stays whole for whatever reads it."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap

from rich.console import Console

# What may be typed again stays on one line, so that it can be copied: code, and a command at the end.
_WHOLE = re.compile(r"`[^`]*`|(?<=to continue: ).*|(?<=next: ).*")
_SPACE = "\0"


class Errors:
    """Standard error, for sentences."""

    def print(self, text: str) -> None:
        # A new console each time, since one keeps the width of its first moment.
        console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)
        console.print(wrapped(text, console.width) if console.file.isatty() else text)


def shown(text: str, indent: int = 0) -> str:
    """Returns the lines of a text for standard output; `indent`: of what goes on below a line that is too long."""
    return wrapped(text, shutil.get_terminal_size().columns, indent) if sys.stdout.isatty() else text


def wrapped(text: str, width: int, indent: int = 0) -> str:
    """Returns the lines of a text, broken between words where they are longer than `width`."""
    found: list[str] = []
    for line in text.splitlines() or [""]:
        kept = _WHOLE.sub(lambda match: match[0].replace(" ", _SPACE), line)
        found += textwrap.wrap(
            kept,
            width,
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
            replace_whitespace=False,
            drop_whitespace=True,
        ) or [""]
    return "\n".join(found).replace(_SPACE, " ")
