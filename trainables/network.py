"""A model as a traced graph: its layers in the order of execution, the places to cut it, and the parts between cuts.

Changes no model. A cut is a place between two steps of the graph. A boundary is a cut that exactly one value crosses, a
tensor with one row for each image: activations can be kept there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.nn.modules import activation, batchnorm, conv, normalization, pooling

from trainables import backbones
from trainables.backbones import Head
from trainables.boundary import Boundary, on_the_way, order_of
from trainables.errors import BadData
from trainables.tracing import ROWS, returned, trace, values_of

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
class Outline:
    """A model's steps, and each one's value without its contents: the same for all models of one architecture."""

    graph: fx.Graph
    values: Mapping[str, Tensor]

    @classmethod
    def of(cls, model: nn.Module, image_size: int, layout: torch.memory_format) -> Outline:
        """Raises InvalidConfig for images of a size that the model does not take, CannotTrace."""
        graph = trace(model)
        values = values_of(model, graph, image_size, layout)
        graph.owning_module = None  # it would keep this model for as long as the outline is kept
        return cls(graph, {name: value.to("meta") for name, value in values.items()})

    def fits(self, model: nn.Module) -> bool:
        """Whether the model has all that the graph takes from it: a model's code may leave constants behind in tracing."""
        taken = [str(node.target) for node in self.graph.nodes if node.op == "get_attr"]
        return all(hasattr(model, name) for name in taken if "." not in name)


class Network:
    """The graph of a model with a `Head`, for images of `image_size` px that lie in memory in `layout`.

    `outline` is that of another model of the same architecture, which spares tracing this one.

    Raises InvalidConfig for images of a size that the model does not take, CannotTrace for a model that torch.fx cannot
    trace.
    """

    def __init__(
        self,
        model: nn.Module,
        image_size: int,
        layout: torch.memory_format = torch.contiguous_format,
        outline: Outline | None = None,
    ) -> None:
        self.model = model
        known = outline is not None and outline.fits(model)
        self.outline = outline if outline is not None and known else Outline.of(model, image_size, layout)
        self._graph, self._values = self.outline.graph, self.outline.values
        self._nodes = [node for node in self._graph.nodes if node.op not in ("placeholder", "output")]
        self._input = next(node for node in self._graph.nodes if node.op == "placeholder")
        self._output = returned(self._graph)
        self._position = {node: i for i, node in enumerate(self._nodes)}
        self._head = self._head_position()
        self.layers = tuple(self._layers())
        self.boundaries = tuple(self._boundaries())

    @property
    def steps(self) -> tuple[fx.Node, ...]:
        """The steps of the graph, in their order."""
        return tuple(self._nodes)

    def cut(self, finetuned: int | None) -> int:
        """Returns the position of the first step that is trained with the last `finetuned` layers (None: all)."""
        if finetuned is None or finetuned >= len(self.layers):
            return 0
        return self.layers[-finetuned].position if finetuned else self._head

    def boundary(self, cut: int) -> Boundary:
        """Returns the last boundary at or before `cut`."""
        return max((b for b in self.boundaries if b.position <= cut), key=lambda b: b.position)

    def section(self, start: Boundary, stop: Boundary | None = None) -> nn.Module:
        """Returns the part from `start` to `stop` (None: the logits) as a module that shares the model's parameters.

        On the way to a `stop`, the value at each boundary is settled: it is the same bits from whatever `start`.
        """
        graph = fx.Graph()
        settling = on_the_way(self.boundaries, start, stop)
        known: dict[fx.Node, fx.Node] = {}
        first = self._input if start.position == 0 else self._named(start.value)
        known[first] = graph.placeholder("activations")
        if start.position in settling:
            known[first] = graph.call_function(start.settled, (known[first],))

        def find(node: fx.Node) -> fx.Node:
            if node not in known and node.op == "get_attr":
                known[node] = graph.node_copy(node)
            return known[node]

        for position, node in enumerate(self._nodes[start.position : stop.position if stop else None], start.position):
            if node.op != "get_attr":
                known[node] = graph.node_copy(node, find)
            if boundary := settling.get(position + 1):
                value = self._named(boundary.value)
                known[value] = graph.call_function(boundary.settled, (known[value],))
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

    def _boundaries(self) -> Iterator[Boundary]:
        pictures = self._values[self._input.name]
        yield Boundary(0, self._input.name, tuple(pictures.shape[1:]), order_of(pictures))
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
                found = self._values.get(value.name)
                if found is not None and value is not self._input and found.dim() and len(found) == ROWS:
                    yield Boundary(position + 1, value.name, tuple(found.shape[1:]), order_of(found))


def describe(name: str) -> list[Layer]:
    """Returns the model's layers from the first to the last before the head, numbered as `finetuned_layers` counts."""
    size = backbones.native_size(name)
    return list(Network(backbones.outline(name, size), size).layers)


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
