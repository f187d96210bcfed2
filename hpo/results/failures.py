"""Why a study has no result: what the store's room of that name says. Pure."""

from hpo.store.failures import GROUPS, QUOTED, failed_exams, grouped, told, without_result

__all__ = ["GROUPS", "QUOTED", "failed_exams", "grouped", "told", "without_result"]
