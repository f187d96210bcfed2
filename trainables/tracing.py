"""Models as torch.fx graphs: traced, and tried for images of a size. Changes no model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules import batchnorm, conv, normalization

from hpo.text import one_line
from trainables.backbones import Head
from trainables.errors import BadData, InvalidConfig
from trainables.faults import is_memory, is_process_fault

ROWS = 2  # images in the pass that finds the shapes
SMALL = 10**9  # multiplications at most: they take less time than what the meta device imports for its first pass


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


def trace(model: nn.Module) -> fx.Graph:
    training = model.training
    model.eval()
    try:
        return _Tracer().trace(model)
    except Exception as error:  # whatever the model's own code raises on proxies
        raise CannotTrace(f"torch.fx must be able to trace {type(model).__name__}, but: {one_line(error)}") from error
    finally:
        model.train(training)


class _Recorder(fx.Interpreter):
    """Runs a graph and keeps each step's value."""

    def __init__(self, module: fx.GraphModule, layout: torch.memory_format) -> None:
        super().__init__(module)
        self.values: dict[str, Tensor] = {}
        self._layout = layout

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor) and n.op != "get_attr":
            convolved = n.op == "call_module" and isinstance(self.fetch_attr(str(n.target)), conv._ConvNd)
            if convolved and value.dim() == 4:  # the meta device's are always contiguous
                value = value.contiguous(memory_format=self._layout)
            self.values[n.name] = value
        return value


class _Measured(nn.Module):
    """Runs the graph and returns each step's value; a module, so that its parameters can be replaced."""

    def __init__(self, model: nn.Module, graph: fx.Graph, layout: torch.memory_format) -> None:
        super().__init__()
        self.inner = fx.GraphModule(model, graph)
        self._layout = layout

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        recorder = _Recorder(self.inner, self._layout)
        recorder.run(images)
        return recorder.values


def values_of(
    model: nn.Module, graph: fx.Graph, image_size: int, layout: torch.memory_format = torch.contiguous_format
) -> dict[str, Tensor]:
    """Returns every step's value for two images that lie in memory in `layout`: only shapes and strides mean anything."""
    values: dict[str, Tensor] = dry_run(_Measured(model, graph, layout).eval(), image_size, layout)
    return values


def dry_run(model: nn.Module, image_size: int, layout: torch.memory_format = torch.contiguous_format) -> Any:
    """Returns what the model returns for two images.

    On the meta device, without arithmetic or memory. A model that names a device in `forward`, or decides by values,
    cannot run there, and computes; so does a small one on the CPU, because torch's meta device takes a second to import
    its compiler. Raises InvalidConfig for images of a size that the model does not take.
    """
    if not _small(model, image_size):
        try:
            return _on_meta(model, image_size, layout)
        except Exception as error:  # whatever a model's own code raises on tensors without values
            if next(model.parameters()).is_meta:
                raise _unsuitable(image_size, error) from error
    try:
        return _computed(model, image_size, layout)
    except (RuntimeError, ValueError, AssertionError) as error:
        if is_memory(error) or is_process_fault(error):
            raise
        raise _unsuitable(image_size, error) from error


def _small(model: nn.Module, image_size: int) -> bool:
    values = list(model.parameters())
    return values[0].device.type == "cpu" and sum(v.numel() for v in values) * image_size**2 * ROWS <= SMALL


@torch.no_grad()
def _on_meta(model: nn.Module, image_size: int, layout: torch.memory_format) -> Any:
    values = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    nothing = {name: torch.empty_like(value, device="meta") for name, value in values.items()}
    images = torch.empty(ROWS, 3, image_size, image_size, device="meta").contiguous(memory_format=layout)
    return torch.func.functional_call(model, nothing, (images,))


@torch.no_grad()
def _computed(model: nn.Module, image_size: int, layout: torch.memory_format) -> Any:
    images = torch.zeros(ROWS, 3, image_size, image_size, device=next(model.parameters()).device)
    return model(images.contiguous(memory_format=layout))


def _unsuitable(image_size: int, error: Exception) -> InvalidConfig:
    return InvalidConfig(f"image_size must suit the model, but {image_size} px do not ({one_line(error)})")


def returned(graph: fx.Graph) -> fx.Node:
    """The node whose value the graph returns."""
    value = next(node for node in graph.nodes if node.op == "output").args[0]
    if not isinstance(value, fx.Node):
        raise CannotTrace(f"a model must return one tensor, its logits, but it returns {value}")
    return value
