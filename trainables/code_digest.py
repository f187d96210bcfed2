"""A digest of code that is in no module: equal in another process for the same code, another where what it does may differ.

It is made from bytecode and values, not from cloudpickle's bytes, which differ from process to process, nor from the source,
which may have been edited since it was run. Pure, but for reading values.
"""

from __future__ import annotations

import copyreg
import dis
import hashlib
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, lru_cache
from types import (
    CellType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    ModuleType,
)
from typing import Any, TypeVar

from hpo.text import one_line, shown
from trainables.errors import BadTrainable

HERE = ("__main__", "__mp_main__")  # scripts and notebooks: no other process can import from them

_PLAIN = (type(None), type(...), type(NotImplemented), bool, int, float, complex, str)
_GLOBALS = ("LOAD_GLOBAL", "LOAD_NAME")
_CACHED: type[Any] = type(lru_cache(id))
_OF_PYTHON = {  # what Python itself, pickling and type checkers leave in a class
    *("__dict__", "__weakref__", "__module__", "__qualname__", "__doc__", "__annotations__", "__firstlineno__"),
    *(
        "__static_attributes__",
        "__slotnames__",
        "__abstractmethods__",
        "_abc_impl",
        "__annotate__",
        "__annotate_func__",
    ),
    *("__annotations_cache__", "__match_args__"),
}


def code_digest(value: Any) -> str:
    """Returns the digest of a class, a function or any value, as 16 hexadecimal digits.

    What can be imported counts by its name. Everything else counts by what it holds: bytecode, defaults, closures, the
    globals that it mentions, methods and bases. Raises BadTrainable for what cannot leave its process, such as a lock.
    """
    try:
        return _Digests().of(value).hex()[:16]
    except RecursionError:
        raise BadTrainable("a trainable's values must not be nested thousands of levels deep, but they are") from None


def importable(value: Any) -> str:
    """Returns "module:name" of a class or function that other processes can import, else ""."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module in HERE:
        return ""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}:{name}" if found is value else ""


def in_parts(value: Any) -> tuple[Any, ...] | None:
    """Returns how pickling makes a value anew of which it would keep only a name or nothing: None for any other value."""
    if importable(value):
        return None
    if isinstance(value, _CACHED):
        return _cached, (value.__wrapped__, *value.cache_parameters().values())
    if isinstance(value, cached_property):  # before Python 3.12 it holds a lock
        return cached_property, (value.func,), {"attrname": value.attrname}
    return None


def _cached(function: Callable[..., Any], maxsize: int | None, typed: bool) -> Any:
    return lru_cache(maxsize, typed)(function)


class _Digests:
    """The digests of values, each computed once; a value inside itself counts by its type."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, bytes]] = {}  # by id; holds the value, so that its id stays its own
        self._open: set[int] = set()

    def of(self, value: Any) -> bytes:
        if type(value) in _PLAIN:
            return _hashed(type(value).__name__, [repr(value).encode()])
        if type(value) in (bytes, bytearray):
            return _hashed("bytes", [bytes(value)])
        if id(value) in self._open:
            return _hashed("itself", [type(value).__qualname__.encode()])
        if id(value) not in self._known:
            self._open.add(id(value))
            self._known[id(value)] = (value, self._whole(value))
            self._open.remove(id(value))
        return self._known[id(value)][1]

    def _whole(self, value: Any) -> bytes:
        if name := importable(value):
            return _hashed("import", [name.encode()])
        if isinstance(value, ModuleType):
            return _hashed("module", [value.__name__.encode()])
        if (tensor := _tensor(value)) is not None:
            return _hashed("tensor", tensor)
        if type(value) in (dict, MappingProxyType):
            return _hashed("mapping", sorted(self.of(k) + self.of(v) for k, v in value.items()))
        if type(value) in (set, frozenset):
            return _hashed("set", sorted(map(self.of, value)))
        kind, parts = self._parts(value)
        return _hashed(kind, map(self.of, parts))

    def _parts(self, value: Any) -> tuple[str, Iterable[Any]]:
        if type(value) in (list, tuple):
            return type(value).__name__, value
        if isinstance(value, FunctionType):
            return "function", _of_function(value)
        if isinstance(value, CodeType):
            return "code", _of_code(value)
        if isinstance(value, CellType):
            return "cell", _of_cell(value)
        if isinstance(value, staticmethod | classmethod):
            return type(value).__name__, [value.__func__]
        if isinstance(value, property):
            return "property", [value.fget, value.fset, value.fdel]
        if isinstance(value, type):
            return "class", _of_class(value)
        if isinstance(value, TypeVar):
            return "variable", [value.__name__, value.__bound__, value.__constraints__]
        return "object", _reduced(value)


def _hashed(kind: str, parts: Iterable[bytes]) -> bytes:
    found = hashlib.sha256(kind.encode())
    for part in parts:
        found.update(f" {len(part)} ".encode())
        found.update(part)
    return found.digest()


def _of_function(function: FunctionType) -> Iterator[Any]:
    yield from (function.__code__, function.__defaults__, function.__kwdefaults__, function.__closure__)
    yield dict(function.__dict__)
    known = function.__globals__
    yield {name: known[name] for name in sorted(_mentioned(function.__code__)) if name in known}


def _mentioned(code: CodeType) -> set[str]:
    """Returns the global names that the code reads, and those that functions and classes inside it read."""
    found = {str(step.argval) for step in dis.get_instructions(code) if step.opname in _GLOBALS}
    return found.union(*(_mentioned(inner) for inner in code.co_consts if isinstance(inner, CodeType)))


def _of_code(code: CodeType) -> Iterator[Any]:
    """Yields what the code does: nothing of where it stands, its lines or its comments."""
    yield from (code.co_code, code.co_consts, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    yield from (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    yield code.co_exceptiontable


def _of_cell(cell: CellType) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:  # a name that has no value yet
        return []


def _of_class(found: type[Any]) -> Iterator[Any]:
    yield from (found.__name__, type(found), found.__bases__)
    slots = (MemberDescriptorType, GetSetDescriptorType)
    yield {k: v for k, v in vars(found).items() if not (k in _OF_PYTHON or _made(k)) and not isinstance(v, slots)}


def _made(name: str) -> bool:
    """Tells whether Pydantic computes this attribute of a class, from its fields and functions: with addresses in it."""
    return name.startswith("__pydantic_") and name != "__pydantic_fields__"


def _reduced(value: Any) -> Iterator[Any]:
    """Yields what pickling would keep of an object."""
    reducer = copyreg.dispatch_table.get(type(value))
    try:
        kept = in_parts(value) or (reducer(value) if reducer else value.__reduce_ex__(4))
    except Exception as error:  # whatever a class makes of pickling
        raise BadTrainable(
            f"all that a trainable refers to must be able to move to another process, but {shown(value)} is not: "
            f"{one_line(error)}; make it inside of the trainable"
        ) from None
    if isinstance(kept, str):
        if pickle.whichmodule(value, kept) in HERE:  # type: ignore[attr-defined]  # typeshed lacks it
            raise BadTrainable(
                f"all that a trainable refers to must be able to move to another process, but {shown(value)} is not: "
                "other processes could only import it; put it into a module"
            )
        yield from (type(value), kept)
        return
    for part in kept:
        yield list(part) if isinstance(part, Iterator) else part


def _tensor(value: Any) -> list[bytes] | None:
    """Returns dtype, shape and content of a tensor, whose pickles differ; None for one that NumPy cannot hold."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(value, torch.Tensor):
        return None
    try:
        tensor = value.detach().cpu()
        found = (tensor.float() if "bfloat16" in str(tensor.dtype) else tensor).numpy()  # NumPy has no bfloat16
    except Exception:  # a sparse tensor
        return None
    return [str(tensor.dtype).encode(), repr(found.shape).encode(), found.tobytes()]
