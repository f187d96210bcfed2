"""The commands of `hpo`, with their arguments and options: from the typer application. Pure."""

from __future__ import annotations

from enum import Enum
from typing import Any

import typer

from docs.from_code.tables import code, table, value
from hpo.cli.app import app


def every() -> dict[str, Any]:
    """Returns the commands by name, in the application's order; those of a group by the group's name and theirs."""
    found: dict[str, Any] = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        below = getattr(command, "commands", None)
        found |= {name: command} if below is None else {f"{name} {each}": one for each, one in below.items()}
    return found


def of_a_service() -> dict[str, Any]:
    """Returns the commands that ask a service, by what is typed after `hpo`."""
    from hpo.cli.remote.app import remote

    found = typer.main.get_command(remote).commands  # type: ignore[attr-defined]
    return {f"--service URL {name}": command for name, command in found.items()}


def commands() -> str:
    """Returns a section for each command."""
    return "\n\n".join(_section(name, command) for name, command in every().items())


def remote_commands() -> str:
    """Returns a section for each command that asks a service."""
    return "\n\n".join(_section(name, command) for name, command in of_a_service().items())


def _section(name: str, command: Any) -> str:
    parameters = [p for p in command.params if not getattr(p, "hidden", False) and p.name != "help"]
    arguments = [p for p in parameters if p.param_type_name == "argument"]
    usage = " ".join(
        ["hpo", name, *map(_argument, arguments), *(["[OPTIONS]"] if len(parameters) > len(arguments) else [])]
    )
    about = (command.help or "").split("\f")[0].strip().replace("\n", " ")
    parts = [f"## hpo {name}", about, f"    {usage}"]
    if parameters:
        parts.append(table(("argument or option", "default", "meaning"), map(_row, parameters)))
    return "\n\n".join(parts)


def _argument(parameter: Any) -> str:
    name = parameter.metavar or parameter.name.upper()
    return name if parameter.required else f"[{name}]"


def _row(parameter: Any) -> tuple[str, str, str]:
    if parameter.param_type_name == "argument":
        return code(parameter.metavar or parameter.name.upper()), "", parameter.help or ""
    names = ", ".join(code(name) for name in (*parameter.opts, *parameter.secondary_opts))
    word = parameter.metavar or ("" if parameter.is_flag else _choices(parameter))
    default = parameter.default.value if isinstance(parameter.default, Enum) else parameter.default
    shown = "" if parameter.is_flag and default is False else value(default)
    about = parameter.help or ""
    if parameter.envvar:
        about += f" Also from the environment: {code(str(parameter.envvar))}."
    return f"{names} {code(word)}".strip(), shown, about


def _choices(parameter: Any) -> str:
    """Returns the values of an option that has a few of them, for example `table|json`."""
    kind = getattr(parameter, "default", None)
    return "|".join(str(each.value) for each in type(kind)) if isinstance(kind, Enum) else "VALUE"
