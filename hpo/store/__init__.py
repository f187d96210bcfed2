"""The results store: Parquet tables of studies on local disk or S3, one writer a study, readable by anything."""

from hpo.store.errors import StoreError, Unreachable
from hpo.store.export import export
from hpo.store.reader import StudyData, read, studies
from hpo.store.verify import verify
from hpo.store.writer import StudyWriter

__all__ = ["StoreError", "StudyData", "StudyWriter", "Unreachable", "export", "read", "studies", "verify"]
