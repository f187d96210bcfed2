"""Who may use the service: tokens with roles, sessions of browsers, the gate before all routes, the audit log.

Knows nothing of what the routes answer. The files of tokens and sessions lie outside of the store; the log lies in it.
"""

from __future__ import annotations

from starlette.middleware import Middleware

from hpo.service.access.access import Access
from hpo.service.access.addresses import AddressTaken, Names, UnsafeAddress
from hpo.service.access.audit import StoreAudit
from hpo.service.access.bodies import Bodies
from hpo.service.access.gate import Gate
from hpo.service.access.kept import AccessError
from hpo.service.access.outside import Rooted, SafeHeaders
from hpo.service.access.roles import needs
from hpo.service.access.sessions import Sessions
from hpo.service.access.tokens import Token, Tokens
from hpo.service.context import Context

__all__ = [
    "Access",
    "AccessError",
    "AddressTaken",
    "Names",
    "Sessions",
    "StoreAudit",
    "Token",
    "Tokens",
    "UnsafeAddress",
    "middleware",
    "needs",
]


def middleware(context: Context) -> list[Middleware]:
    """Returns what stands before the routes of a service, outermost first."""
    return [
        Middleware(SafeHeaders),
        Middleware(Rooted, root=context.settings.root_path),
        Middleware(Gate, access=context.access or Access()),
        Middleware(Bodies, upload_bytes=context.settings.upload_bytes),
    ]
