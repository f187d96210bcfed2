"""A model as a traced graph: its layers in the order of execution, the places to cut it, and the parts between cuts.

Changes no model. A cut is a place between two steps of the graph. A boundary is a cut that exactly one value crosses, a
tensor with one row for each image: activations can be kept there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules import activation, batchnorm, conv, normalization, pooling

from hpo.text import one_line
from trainables import backbones
from trainables.backbones import Head
from trainables.errors import BadData, InvalidConfig
from trainables.faults import is_memory, is_process_fault

KINDS: tuple[tuple[str, tuple[type[nn.Module], ...]], ...] = (
    ("convolution", (conv._ConvNd,)),
    (
        "normalization",
        (batchnorm._NormBase, normalization.LayerNorm, normalization.GroupNorm, normalization.LocalResponseNorm),
    ),
    ("attention", (activation.MultiheadAttention,)),
    ("linear", (nn.Linear, nn.Bilinear)),
)
NO_LAYER = (nn.Identity, nn.Flatten, nn.Unflatten, nn.modules.dropout._DropoutNd)


@dataclass(frozen=True)
class Layer:
    """One layer: `finetuned_layers` >= `number` trains it; 1 is the last before the head."""

    number: int
    name: str
    kind: str
    parameters: int  # how many
    position: int  # in the graph


@dataclass(frozen=True)
class Boundary:
    """A clean cut before the graph's step `position`; the value that crosses it is [N, *shape]. At 0 it is the image."""

    position: int
    value: str
    shape: tuple[int, ...]


class CannotTrace(BadData):
    """A model whose own code decides by values, so that it has no graph."""


class _Tracer(fx.Tracer):
    """Enters a module only if it holds others: a module without parts is one step, whatever package it is from.

    A part that cannot be traced is one step too, unless it holds a `Head`. The model's optional arguments have their
    defaults: a placeholder for each of them would keep the model from asking whether it is None.
    """

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        whole = isinstance(m, batchnorm._NormBase | normalization.LayerNorm) or next(m.children(), None) is None
        return whole or super().is_leaf_module(m, module_qualified_name)

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **more: Any) -> Any:
        if kind == "placeholder" and args:
            return args[0]
        return super().create_proxy(kind, target, args, kwargs, *rest, **more)

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        before, stack = len(self.graph.nodes), dict(self.module_stack)
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception:  # whatever the part's own code raises on proxies
            if any(isinstance(part, Head) for part in m.modules()):
                raise
            for node in list(self.graph.nodes)[: before - 1 : -1]:
                self.graph.erase_node(node)
            self.module_stack.clear()
            self.module_stack.update(stack)
            return self.create_proxy("call_module", self.path_of_module(m), args, kwargs)


class Network:
    """The graph of a model with a `Head`, for images of `image_size` px.

    Raises InvalidConfig for images of a size that the model does not take, CannotTrace for a model that torch.fx cannot
    trace.
    """

    def __init__(self, model: nn.Module, image_size: int) -> None:
        self.model = model
        self._graph = _trace(model)
        self._nodes = [node for node in self._graph.nodes if node.op not in ("placeholder", "output")]
        self._input = next(node for node in self._graph.nodes if node.op == "placeholder")
        self._output = _returned(self._graph)
        self._position = {node: i for i, node in enumerate(self._nodes)}
        self._head = self._head_position()
        self._shapes = _shapes(model, self._graph, image_size)
        self.layers = tuple(self._layers())
        self.boundaries = tuple(self._boundaries(image_size))

    def cut(self, finetuned: int | None) -> int:
        """Returns the position of the first step that is trained with the last `finetuned` layers (None: all)."""
        if finetuned is None or finetuned >= len(self.layers):
            return 0
        return self.layers[-finetuned].position if finetuned else self._head

    def boundary(self, cut: int) -> Boundary:
        """Returns the last boundary at or before `cut`."""
        return max((b for b in self.boundaries if b.position <= cut), key=lambda b: b.position)

    def section(self, start: Boundary, stop: Boundary | None = None) -> nn.Module:
        """Returns the part from `start` to `stop` (None: the logits) as a module that shares the model's parameters."""
        graph = fx.Graph()
        known: dict[fx.Node, fx.Node] = {}
        first = self._input if start.position == 0 else self._named(start.value)
        known[first] = graph.placeholder("activations")

        def find(node: fx.Node) -> fx.Node:
            if node not in known and node.op == "get_attr":
                known[node] = graph.node_copy(node)
            return known[node]

        for node in self._nodes[start.position : stop.position if stop else None]:
            if node.op != "get_attr":
                known[node] = graph.node_copy(node, find)
        graph.output(find(self._named(stop.value) if stop else self._output))
        return fx.GraphModule(self.model, graph)

    def trained(self, cut: int) -> list[str]:
        """Returns the names of the parameters used at or after `cut`, in the model's order."""
        used: set[str] = set()
        for node in self._nodes[cut:]:
            attributes = [n for n in node.all_input_nodes if n.op == "get_attr"]
            used.update(str(n.target) for n in attributes)
            if node.op == "call_module":
                module = self.model.get_submodule(str(node.target))
                used.update(f"{node.target}.{name}" for name, _ in module.named_parameters())
        return [name for name, _ in self.model.named_parameters() if name in used]

    def trained_modules(self, cut: int) -> Iterator[nn.Module]:
        """Yields the modules that run at or after `cut`: training puts these alone into training mode."""
        for node in self._nodes[cut:]:
            if node.op == "call_module":
                yield from self.model.get_submodule(str(node.target)).modules()

    def thaws(self) -> tuple[int, ...]:
        """Returns the numbers of the layers that have parameters, rising: the steps of gradual unfreezing."""
        return tuple(sorted(layer.number for layer in self.layers if layer.parameters))

    def _named(self, name: str) -> fx.Node:
        found: fx.Node = next(node for node in self._graph.nodes if node.name == name)
        return found

    def _head_position(self) -> int:
        for position, node in enumerate(self._nodes):
            if node.op == "call_module" and isinstance(_parent(self.model, str(node.target)), Head):
                return position
        raise BadData(f"the model {type(self.model).__name__} must end in a Head, as backbones.build makes it")

    def _layers(self) -> list[Layer]:
        found = []
        for node in self._nodes[: self._head]:
            if node.op == "call_module":
                module = self.model.get_submodule(str(node.target))
                kind = _kind(module)
                if kind:
                    size = sum(p.numel() for p in module.parameters())
                    found.append((str(node.target), kind, size, self._position[node]))
        return [Layer(len(found) - i, *layer) for i, layer in enumerate(found)]

    def _boundaries(self, image_size: int) -> Iterator[Boundary]:
        yield Boundary(0, self._input.name, (3, image_size, image_size))
        live: set[fx.Node] = {self._input}
        last = {
            node: max((self._position.get(user, len(self._nodes)) for user in node.users), default=-1)
            for node in self._graph.nodes
        }
        for position, node in enumerate(self._nodes[: self._head]):
            if node.op != "get_attr":
                live.add(node)
            live = {n for n in live if last[n] > position}
            if len(live) == 1:
                (value,) = live
                shape = self._shapes.get(value.name)
                if shape and value is not self._input and shape[0] == _ROWS:
                    yield Boundary(position + 1, value.name, shape[1:])


def describe(name: str) -> list[Layer]:
    """Returns the model's layers from the first to the last before the head, numbered as `finetuned_layers` counts."""
    size = backbones.native_size(name)
    return list(Network(backbones.outline(name, size), size).layers)


_ROWS = 2  # images in the pass that finds the shapes


def _returned(graph: fx.Graph) -> fx.Node:
    """The node whose value the graph returns."""
    value = next(node for node in graph.nodes if node.op == "output").args[0]
    if not isinstance(value, fx.Node):
        raise CannotTrace(f"a model must return one tensor, its logits, but it returns {value}")
    return value


def _parent(model: nn.Module, name: str) -> nn.Module:
    return model.get_submodule(name.rpartition(".")[0])


def _kind(module: nn.Module) -> str | None:
    """The kind of layer that Keras would count; None for no layer in paper 001's sense (dropout, reshaping)."""
    for kind, types in KINDS:
        if isinstance(module, types):
            return kind
    if isinstance(module, NO_LAYER):
        return None
    if type(module).__module__ == pooling.__name__ or "Pool" in type(module).__name__:
        return "pooling"
    if type(module).__module__ == activation.__name__:
        return "activation"
    if "Norm" in type(module).__name__:
        return "normalization"
    return "other" if next(module.parameters(), None) is not None else None


def _trace(model: nn.Module) -> fx.Graph:
    training = model.training
    model.eval()
    try:
        return _Tracer().trace(model)
    except Exception as error:  # whatever the model's own code raises on proxies
        raise CannotTrace(f"torch.fx must be able to trace {type(model).__name__}, but: {one_line(error)}") from error
    finally:
        model.train(training)


class _Shapes(fx.Interpreter):
    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.shapes: dict[str, tuple[int, ...]] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor) and n.op != "get_attr":
            self.shapes[n.name] = tuple(value.shape)
        return value


class _Measured(nn.Module):
    """Runs the graph and returns each step's shape; a module, so that its parameters can be replaced."""

    def __init__(self, model: nn.Module, graph: fx.Graph) -> None:
        super().__init__()
        self.inner = fx.GraphModule(model, graph)

    def forward(self, images: Tensor) -> dict[str, tuple[int, ...]]:
        interpreter = _Shapes(self.inner)
        interpreter.run(images)
        return interpreter.shapes


def _shapes(model: nn.Module, graph: fx.Graph, image_size: int) -> dict[str, tuple[int, ...]]:
    """Returns every step's shape for two images."""
    shapes: dict[str, tuple[int, ...]] = dry_run(_Measured(model, graph).eval(), image_size)
    return shapes


def dry_run(model: nn.Module, image_size: int) -> Any:
    """Returns what the model returns for two images.

    On the meta device, without arithmetic or memory. A model that names a device in `forward`, or decides by values,
    cannot run there, and computes. Raises InvalidConfig for images of a size that the model does not take.
    """
    try:
        return _on_meta(model, image_size)
    except Exception as error:  # whatever a model's own code raises on tensors without values
        if next(model.parameters()).is_meta:
            raise _unsuitable(image_size, error) from error
    try:
        return _computed(model, image_size)
    except (RuntimeError, ValueError, AssertionError) as error:
        if is_memory(error) or is_process_fault(error):
            raise
        raise _unsuitable(image_size, error) from error


@torch.no_grad()
def _on_meta(model: nn.Module, image_size: int) -> Any:
    values = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    nothing = {name: torch.empty_like(value, device="meta") for name, value in values.items()}
    images = torch.empty(_ROWS, 3, image_size, image_size, device="meta")
    return torch.func.functional_call(model, nothing, (images,))


@torch.no_grad()
def _computed(model: nn.Module, image_size: int) -> Any:
    return model(torch.zeros(_ROWS, 3, image_size, image_size, device=next(model.parameters()).device))


def _unsuitable(image_size: int, error: Exception) -> InvalidConfig:
    return InvalidConfig(f"image_size must suit the model, but {image_size} px do not ({one_line(error)})")
