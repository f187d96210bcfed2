"""The exit codes of `hpo`: from the errors that carry them. Pure."""

from __future__ import annotations

from docs.from_code import tables
from hpo.cli.app import BUG
from hpo.errors import HpoError, InterruptedStudy, StudyFailed

MEANINGS = {
    0: "Done.",
    StudyFailed.exit_code: "The study failed, no trial of it gave a result, or a final exam failed; for `hpo verify`: "
    "something differs.",
    HpoError.exit_code: "Bad input, or a store that does not answer.",
    BUG: "A bug in hpo. The message names the file that holds the traceback.",
    InterruptedStudy.exit_code: "Interrupted. The last line says how to continue.",
}


def table() -> str:
    """Returns the table of exit codes."""
    return tables.table(
        ("code", "meaning"), [(tables.code(str(number)), MEANINGS[number]) for number in sorted(MEANINGS)]
    )
