"""Networks made to do harm: flatbuffers that are well-formed, in bundles whose checksums are right."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from undertone.inference.bundle import DEFAULT_BUNDLE, bundle_bytes, read_bundle


def crafted(change: Callable[[Any], None], version: str = "crafted") -> bytes:
    """The shipped bundle with a network that `change` has altered, a tree of the flatbuffer's objects."""
    bundle = read_bundle(DEFAULT_BUNDLE)
    model = schema.ModelT.InitFromPackedBuf(bundle.flatbuffer, 0)
    change(model)
    builder = flatbuffers.Builder(len(bundle.flatbuffer))
    builder.Finish(model.Pack(builder), b"TFL3")
    network = bytes(builder.Output())
    named = {"sha256": hashlib.sha256(network).hexdigest(), "size": len(network)}
    card = bundle.card.model_copy(
        update={"version": version, "network": bundle.card.network.model_copy(update=named)},
    )
    return bundle_bytes(replace(bundle, card=card, flatbuffer=network))


def nothing(_: Any) -> None:
    """Packed again, and otherwise as it was."""


def calls_itself(model: Any) -> None:
    """An IF whose branches are the graph that it stands in: LiteRT descends until its stack is used up."""
    condition = _tensor(model, [], schema.TensorType.BOOL, b"\1")
    options = schema.IfOptionsT()
    options.thenSubgraphIndex = options.elseSubgraphIndex = 0
    graph = model.subgraphs[0]
    outputs = [_tensor(model, [1], schema.TensorType.FLOAT32) for _ in graph.outputs]
    _first(model, "IF", [condition, *graph.inputs], outputs, options, schema.BuiltinOptions.IfOptions)


def foreign_op(model: Any) -> None:
    """An op that only its author's runtime has."""
    _first(model, "CUSTOM", [], [], custom=b"Strange")


def huge_tensor(model: Any) -> None:
    """A tensor of 4 GB."""
    numbers = 1 << 30
    size = _tensor(model, [1], schema.TensorType.INT32, np.array([numbers], np.int32).tobytes())
    number = _tensor(model, [], schema.TensorType.FLOAT32, np.zeros(1, np.float32).tobytes())
    filled = _tensor(model, [numbers], schema.TensorType.FLOAT32)
    _first(model, "FILL", [size, number], [filled], schema.FillOptionsT(), schema.BuiltinOptions.FillOptions)


def endless_loop(model: Any) -> None:
    """A WHILE whose condition, the value that it carries, stays true."""
    options = schema.WhileOptionsT()
    options.condSubgraphIndex, options.bodySubgraphIndex = _identity(model), _identity(model)
    true, outcome = _tensor(model, [], schema.TensorType.BOOL, b"\1"), _tensor(model, [], schema.TensorType.BOOL)
    _first(model, "WHILE", [true], [outcome], options, schema.BuiltinOptions.WhileOptions)


def _first(
    model: Any,
    name: str,
    inputs: list[int],
    outputs: list[int],
    options: Any = None,
    kind: int = 0,
    custom: bytes | None = None,
) -> None:
    """Let an op run before all others of the first graph."""
    code = schema.OperatorCodeT()
    code.builtinCode, code.version, code.customCode = getattr(schema.BuiltinOperator, name), 1, custom
    code.deprecatedBuiltinCode = code.builtinCode
    model.operatorCodes.append(code)
    op = schema.OperatorT()
    op.opcodeIndex, op.inputs, op.outputs = len(model.operatorCodes) - 1, inputs, outputs
    op.builtinOptions, op.builtinOptionsType = options, kind
    model.subgraphs[0].operators.insert(0, op)


def _tensor(model: Any, shape: list[int], kind: int, data: bytes | None = None) -> int:
    """A new tensor of the first graph, constant where it has `data`; returns its number."""
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = b"new", shape, kind, 0
    if data is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(data, np.uint8)
        model.buffers.append(buffer)
        tensor.buffer = len(model.buffers) - 1
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def _identity(model: Any) -> int:
    """A new graph that gives back the one boolean that it takes; returns its number."""
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = b"same", [], schema.TensorType.BOOL, 0
    graph = schema.SubGraphT()
    graph.name, graph.tensors, graph.inputs, graph.outputs, graph.operators = b"same", [tensor], [0], [0], []
    model.subgraphs.append(graph)
    return len(model.subgraphs) - 1
