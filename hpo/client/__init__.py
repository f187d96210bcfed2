"""The Python client of the service: `hpo.connect(URL)`. Over HTTP alone; needs neither Ray nor torch.

What it reads of a study becomes the objects of `hpo.api`, so that a comparison is the same there as on the service's machine.
"""

from __future__ import annotations

from hpo.client.client import Client, connect
from hpo.client.errors import NotAllowed, NotFound, NotSignedIn, NotTrusted, Refused, ServiceAway, ServiceError
from hpo.client.job import Job
from hpo.client.study import ServedStudy, Standing
from hpo.client.submission import Wishes
from hpo.client.suite import ServedSuite

__all__ = [
    "Client", "Job", "NotAllowed", "NotFound", "NotSignedIn", "NotTrusted", "Refused", "ServedStudy", "ServedSuite",
    "ServiceAway", "ServiceError", "Standing", "Wishes", "connect",
]  # fmt: skip
