"""What a route asks of its caller."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Request

from hpo.service.context import Caller, Role
from hpo.service.problems import Problem


def needs(role: Role) -> Callable[[Request], Caller]:
    """Returns a dependency of a route: the caller, whose role must include `role`. Raises Problem 403 for others."""

    def caller(request: Request) -> Caller:
        found: Caller = request.state.caller
        if not found.may(role):
            raise Problem(
                403,
                f"this needs a token with the role {role}, but {found.name} has the role {found.role}; ask an admin",
            )
        return found

    return caller
