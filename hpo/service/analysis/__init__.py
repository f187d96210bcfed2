"""What takes a processor for a while: made in processes of their own, once for each state of the studies, kept on disk.

The processes draw and compute; the service only hands tables over and files out.
"""

from __future__ import annotations

from hpo.service.analysis.analysis import Analysis

__all__ = ["Analysis"]
