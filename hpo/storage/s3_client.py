"""The one S3 client. Its requests have limits, so that nobody waits for ever for a silent server.

Endpoint, region and credentials come from the usual AWS variables and files.
"""

from __future__ import annotations

from typing import Any

import botocore.session
from botocore.config import Config
from botocore.loaders import create_loader

STREAMS = 16
LARGE_READ_SECONDS = 30  # a server may be silent for so long while it takes or finds a large file
SETTINGS = Config(
    connect_timeout=5,
    read_timeout=10,
    retries={"total_max_attempts": 3, "mode": "standard"},
    max_pool_connections=STREAMS,
    # Servers other than Amazon's refuse bodies that are sent with a trailing checksum.
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)


MODELS = create_loader()  # reads the descriptions of Amazon's services, most of what a client costs, once in a process
BRIEF = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2, "mode": "standard"})


def client(*, large: bool = False, brief: bool = False) -> Any:
    """Makes a client from a session of its own: it finds credentials that were renewed in files since the last one.

    `brief`: for one question that somebody waits for, whose answer is not needed to go on.
    """
    more = BRIEF if brief else Config(read_timeout=LARGE_READ_SECONDS) if large else Config()
    settings = SETTINGS.merge(more)
    session = botocore.session.Session()
    session.register_component("data_loader", MODELS)
    return session.create_client("s3", config=settings)
