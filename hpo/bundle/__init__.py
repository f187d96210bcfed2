"""Bundles: one archive with a study's results and all that others need to derive them again or to train them anew.

A bundle is a sealed archive and a store at once: the study's folder lies at its root, beside the derived files. Reads
stores, installed packages and this project's lock; writes only the bundle.
"""

from hpo.bundle.again import check_new, check_trained, study_in
from hpo.bundle.make import make
from hpo.bundle.verify import Verification, verify

__all__ = ["Verification", "check_new", "check_trained", "make", "study_in", "verify"]
