"""Imports that the documentation of version 0.1.0 told users to write: they work, or name the module's new place."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys

import pytest

import hpo
from hpo.study import sections, study

DOCUMENTED = ("hpo.methods.searching", "hpo.contract", "hpo.trial")  # docs/reference/methods.md
KEPT = ("hpo.methods.protocol", "trainables.contract")  # docs/reference/methods.md, docs/reference/trainables.md


@pytest.mark.parametrize("old", DOCUMENTED)
def test_a_documented_module_that_has_moved_names_its_new_place(old):
    assert importlib.import_module(hpo.MOVED[old])
    with pytest.raises(ModuleNotFoundError, match=re.escape(f"{old} has moved: import {hpo.MOVED[old]} instead")):
        importlib.import_module(old)


@pytest.mark.parametrize("name", KEPT)
def test_a_documented_module_that_has_not_moved_is_still_there(name):
    assert importlib.import_module(name)


def test_the_names_of_the_module_that_study_was_are_found_in_the_package():
    from hpo.study import Budget, Resources, Study, StudyError, find, presets

    assert (Study, find, presets) == (study.Study, study.find, study.presets)
    assert (Budget, Resources) == (sections.Budget, sections.Resources)
    assert issubclass(StudyError, hpo.errors.HpoError)
    with pytest.raises(ImportError, match="cannot import name 'Sturdy'"):
        from hpo.study import Sturdy  # noqa: F401


def test_a_method_that_needs_only_the_space_does_not_import_what_reads_files():
    check = "import sys, hpo.study.space; sys.exit(any(name in sys.modules for name in ('pydantic', 'ruamel.yaml')))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
