"""Every mistake of a study file that can be told apart, not only the first: for whoever shows them while it is written. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hpo.errors import StudyError
from hpo.study import candidates
from hpo.study.messages import LONGEST, Located
from hpo.study.methods_file import parse_methods
from hpo.study.space_file import parse_space
from hpo.study.yaml_file import Document
from hpo.text import cut


def problems(document: Document, error: StudyError) -> list[str]:
    """Returns the sentences about a document that was refused with `error`: that one, then others, each with its place."""
    found = [str(error), *error.others]
    found += [f"{document.place(part.location)}: {cut(str(part), LONGEST)}" for part in _parts(document)]
    return list(dict.fromkeys(found))


def _parts(document: Document) -> Iterator[Located]:
    """Yields what is wrong with each hyperparameter and each method, looked at alone."""
    space, methods = document.values.get("space"), document.values.get("methods")
    for name, entry in space.items() if isinstance(space, Mapping) else ():
        if name == candidates.KEY:
            continue
        alone = {key: value for key, value in entry.items() if key != "if"} if isinstance(entry, Mapping) else entry
        try:
            parse_space({name: alone})
        except Located as error:
            yield error
    for i, entry in enumerate(methods if isinstance(methods, list) else ()):
        if not isinstance(entry, str | Mapping):
            continue
        try:
            parse_methods([entry])
        except Located as error:
            yield Located((error.location[0], i, *error.location[2:]), str(error))
