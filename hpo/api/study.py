"""A study in code: built from Python values, checked, written as a study file, shown. Writes the file that a user asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from hpo.api.space import entry
from hpo.errors import StudyError
from hpo.files import write_whole
from hpo.study import domains, study
from hpo.study.messages import one_sentence
from hpo.study.sections import Section
from hpo.study.yaml_text import yaml_text
from hpo.text import one_line
from trainables.given import name_of

if TYPE_CHECKING:
    from hpo.api.plan import Plan

Options = Mapping[str, Any]


class Study(study.Study):
    """What is searched, with which methods, under which budget.

    Built from Python values, whose names and meanings are the keys of a study file (`name` is the file's `study`), or read
    from one by `Study.load`. None stands for the default. Relative paths start at the working folder. `trainable` may also be
    a class or a function, or one with its kind: `{"optuna": objective}`, `{"tune": train}`, `{"lightning": build}`.
    """

    def __init__(
        self,
        *,
        name: str,
        space: Mapping[str, Any],  # domains, or entries as in a file; `candidates`: a list, a file or a table
        budget: Mapping[str, float],
        methods: Sequence[str | Mapping[str, Options | None]],
        trainable: str | type | Callable[..., Any] | Mapping[str, Any] | None = None,
        data: Options | None = None,
        model: Options | None = None,
        fixed: Options | None = None,
        seeds: Sequence[int] | None = None,
        parallelism: int | None = None,
        clock: Literal["virtual", "cost", "arrival"] | None = None,
        early_stopping: Options | None = None,
        resources: Options | None = None,
        metric: str | None = None,
        mode: Literal["min", "max"] | None = None,
        bounds: Sequence[float | None] | None = None,
        difference: float | str | None = None,
        final: Options | None = None,
        store: str | Path | None = None,
        priority: float | None = None,
        owner: str | None = None,
        checkpoints_gb: float | None = None,
        track: Options | None = None,
        start: Sequence[Options] | None = None,
        prior: str | Path | None = None,
        suite: str | None = None,
    ) -> None:
        """Validates the values as `Study.load` validates a file's. Raises StudyError, one sentence."""
        given = {key: value for key, value in locals().items() if key not in ("self", "__class__", "name")}
        if trainable is not None:
            given["trainable"] = name_of(trainable)
        given["space"] = {key: _entry(value) for key, value in space.items()} if isinstance(space, Mapping) else space
        values = {key: _plain(value) for key, value in given.items() if value is not None}
        with one_sentence(None, type(self).model_fields):
            super().__init__(study=name, **values)
            self.validate_parts()

    # A file's values are validated without passing through __init__, as in pydantic's own classes.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    def check(self, address: str | None = None) -> Plan:
        """Validates the study as `hpo.run` does, and returns its plan; trains nothing.

        With an `address` (auto or HOST:PORT), checks that this Ray cluster can run it. Raises HpoError.
        """
        from hpo.api.plan import checked

        return checked(self, address)

    def to_yaml(self, path: str | Path | None = None) -> str:
        """Returns the study as the text of a study file, and writes it to `path` if one is given.

        A study loaded from it has the same digest. Raises StudyError for a trainable that was given as an object, which no
        file can hold.
        """
        from trainables.given import of

        if given := of(self.trainable):
            raise StudyError(
                f"a study file must name its trainable, but {self.trainable} was given as an object; put it into a module "
                f'and give it as trainable="{self.trainable.removesuffix(given)}module:name"'
            )
        text = yaml_text(keys_given(self))
        if path is not None:
            try:
                write_whole(Path(path), text.encode())
            except OSError as error:
                raise StudyError(
                    f"{path} must be a file that can be written, but it is not: {one_line(error)}"
                ) from None
        return text

    def stored_in(self, store: str | Path) -> Self:
        """Returns the study with another store."""
        return self.changed(store=str(store))

    def __repr__(self) -> str:
        return f"<Study {self.study}: {', '.join(m.label for m in self.methods)} over {', '.join(self.space.names)}>"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        from hpo.api.plan import Plan

        return Plan.of(self)._repr_html_()


def _entry(given: Any) -> Any:
    """Returns a hyperparameter as a study file's `space` has it; `when` is the file's `if`, which Python keeps for itself."""
    if isinstance(given, domains.Float | domains.Int | domains.Choice):
        return entry(given)
    if hasattr(given, "to_pylist") or hasattr(given, "to_dicts"):  # candidates as a table of pyarrow's or polars'
        return given.to_pylist() if hasattr(given, "to_pylist") else given.to_dicts()
    if hasattr(given, "to_dict") and hasattr(given, "columns"):  # of pandas'
        return [
            {key: None if value != value else value for key, value in row.items()} for row in given.to_dict("records")
        ]
    if isinstance(given, Mapping):
        return {"if" if key == "when" else key: value for key, value in given.items()}
    return given


def _plain(value: Any) -> Any:
    """Returns a Python value as a study file has it: mappings and lists of single values."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # a number or an array of NumPy's
        return _plain(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(item) for item in value]
    if isinstance(value, float | int | str) and type(value) not in (bool, float, int, str):
        return next(kind(value) for kind in (float, int, str) if isinstance(value, kind))  # an enumeration's
    return value


def keys_given(section: Section) -> dict[str, Any]:
    """Returns the keys of a section that were given, by their names in a study file."""
    found = {}
    for name, field in type(section).model_fields.items():
        if name in section.model_fields_set and name != "folder":
            value = getattr(section, name)
            found[field.alias or name] = keys_given(value) if isinstance(value, Section) else value
    return found | dict(section.model_extra or {})
