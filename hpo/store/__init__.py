"""The results store: a study's Parquet tables in a folder or on S3, one writer a study, readable without this project.

Knows studies, runs and trials as values, and writes only below a store's root and into its spool.
"""

from hpo.store.errors import StoreError, Unreachable
from hpo.store.export import export
from hpo.store.reader import StudyData, chosen, read, studies
from hpo.store.verify import verify
from hpo.store.writer import StudyWriter

__all__ = ["StoreError", "StudyData", "StudyWriter", "Unreachable", "chosen", "export", "read", "studies", "verify"]
