"""Writes the generated parts of the reference; with --check it only names the pages that are not current."""

from __future__ import annotations

import sys

from docs.from_code import DOCS, filled, stale


def main() -> int:
    pages = stale()
    if "--check" in sys.argv[1:]:
        for page in pages:
            print(f"docs/{page} is not current; write it with `python -m docs.from_code`", file=sys.stderr)
        return int(bool(pages))
    for page in pages:
        (DOCS / page).write_text(filled(page), encoding="utf-8")
        print(f"wrote docs/{page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
