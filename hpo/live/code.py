"""The code of a trainable that was given as an object, beside the study's tables: for a later sitting without that object.

Nothing of it runs before the study is trained; comparisons, reports and replays never read it.
"""

from __future__ import annotations

from hpo.storage.place import place
from hpo.store import layout
from hpo.study.study import Study
from trainables import given


def keep(study: Study) -> None:
    """Writes the code into the study's store, whole or not at all, unless it is there."""
    for name, content in given.codes(study.trainable).items():
        place(study.store).create(_path(study, name), content)


def recover(study: Study) -> None:
    """Reads the code from the study's store, where this process does not have it and the store does."""
    name = given.of(study.trainable)
    if name and not given.known(name):
        content = place(study.store).read(_path(study, name))
        given.receive({} if content is None else {name: content})


def _path(study: Study, name: str) -> str:
    return layout.code(study.study, name.removeprefix(given.KIND))
