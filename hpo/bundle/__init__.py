"""Bundles: one archive with the results of a study or a suite, and all that others need to derive them again or train them anew.

A bundle is a sealed archive and a store at once: the studies' folders lie at its root, beside the derived files. Reads
stores, installed packages and this project's lock; writes only the bundle.
"""

from hpo.bundle.again import check_new, check_trained, studies_in
from hpo.bundle.make import make
from hpo.bundle.verify import Verification, verify

__all__ = ["Verification", "check_new", "check_trained", "make", "studies_in", "verify"]
