"""The code of users and third parties: where it comes from, and in the store that of a trainable given as an object.

That code is for a later sitting without the object. Nothing of it runs before the study is checked or trained; comparisons,
reports and replays never read it.
"""

from __future__ import annotations

from hpo.methods import origins, origins_of
from hpo.storage.place import place
from hpo.store import layout
from hpo.store.agreement import METHOD_PACKAGES
from hpo.study.study import Study
from trainables import given, kind_and_place


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


def foreign(study: Study) -> dict[str, dict[str, str]]:
    """Returns the versions of users' and third parties' methods, and of such a trainable, as parts of the environment."""
    where = "" if given.of(study.trainable) else kind_and_place(study.trainable)[1]  # an object's name tells its digest
    trainable = dict(origins_of(where)) if ":" in where else {}
    found = {METHOD_PACKAGES: origins(study.methods), "trainable_packages": trainable}
    return {name: packages for name, packages in found.items() if packages}


def _path(study: Study, name: str) -> str:
    return layout.code(study.study, name.removeprefix(given.KIND))
