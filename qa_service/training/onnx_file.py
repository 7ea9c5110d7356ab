"""A BERT encoder as one small ONNX file: 8-bit weights, pooling and scaling inside. It knows no training and no texts.

Weights are rounded to 8 bits, with a scale for each output and for each row of the vocabulary; activations are
rounded at run time, each token by itself. So a text's vector does not depend on its batch, which ONNX Runtime's own
dynamic quantisation (one scale for the whole batch) does not give. Its blockwise `MatMulNBits` does too, and is a
little closer (cosine 0.999 against 0.997), but takes 2.5 times as long: it leaves the matrix units of processors idle.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

_MIDDLE = 128  # of unsigned 8 bits
_RUNTIME = "com.microsoft"
_ONNX_VERSION, _IR_VERSION = 17, 9

_THREE = tuple(f"attention.self.{part}" for part in ("query", "key", "value"))
_DENSE = (("spoken", "attention.output.dense"), ("wide", "intermediate.dense"), ("narrow", "output.dense"))

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyShape:
    """What the weights' names and sizes do not say."""

    layers: int
    heads: int
    layer_norm_epsilon: float
    max_tokens: int


@dataclass(slots=True)
class _Graph:
    """Nodes and constants as they are added, in order."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def constant(self, name: str, values: NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:  # noqa: ANN401 - onnx's own
        """Add a node of one output and give that output's name."""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def linear(self, source: str, name: str, weights: NDArray[np.float32], bias: NDArray[np.float32]) -> str:
        """Add `source @ weights.T + bias`; weights float32 (outputs, inputs)."""
        rounded, scales = _rounded(weights)
        self._round_tokens(source)
        factors = [f"{source}.rounded", self.constant(f"{name}.weights", rounded.T), "zero"]
        self.add("MatMulInteger", factors, f"{name}.product")
        self.add("Cast", [f"{name}.product"], f"{name}.unscaled", to=TensorProto.FLOAT)
        # Two products, not one by both scales: ONNX Runtime takes that for its own pattern, whose scale is a scalar,
        # and gives wrong vectors without a word.
        self.add("Mul", [f"{name}.unscaled", self.constant(f"{name}.scales", scales[:, 0])], f"{name}.half_scaled")
        self.add("Mul", [f"{name}.half_scaled", f"{source}.scale"], f"{name}.scaled")
        return self.add("Add", [f"{name}.scaled", self.constant(f"{name}.bias", bias)], name)

    def _round_tokens(self, source: str) -> None:
        """Round each token to unsigned 8 bits, by the largest of its numbers."""
        self.add("Abs", [source], f"{source}.size")
        self.add("ReduceMax", [f"{source}.size"], f"{source}.largest", axes=[-1], keepdims=1)
        self.add("Mul", [f"{source}.largest", "a_127th"], f"{source}.scale")
        self.add("Div", [source, f"{source}.scale"], f"{source}.steps")
        self.add("Add", [f"{source}.steps", "middle"], f"{source}.shifted")
        self.add("Round", [f"{source}.shifted"], f"{source}.whole")
        self.add("Cast", [f"{source}.whole"], f"{source}.rounded", to=TensorProto.UINT8)


def write_onnx(weights: Weights, shape: BodyShape, path: Path) -> None:
    """Write the encoder whose weights have the names that transformers' `BertModel` gives them.

    The file maps `input_ids` and `attention_mask`, int64 (texts, tokens), padded at the end, to `vectors`,
    float32 (texts, dimension) of length 1.
    """
    graph = _Graph()
    hidden = _embed(graph, weights, shape)
    graph.add("Cast", ["attention_mask"], "mask", to=TensorProto.INT32)
    graph.constant("a_127th", np.array(1 / 127, np.float32))
    graph.constant("middle", np.array(_MIDDLE, np.float32))
    graph.constant("zero", np.array(_MIDDLE, np.uint8))
    graph.constant("thirds", np.full(3, weights["embeddings.word_embeddings.weight"].shape[1], np.int64))
    for layer in range(shape.layers):
        hidden = _layer(graph, weights, shape, layer, hidden)
    _pool(graph, hidden)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    vectors = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["texts", None])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "encoder", inputs, [vectors], graph.constants),
        opset_imports=[helper.make_opsetid("", _ONNX_VERSION), helper.make_opsetid(_RUNTIME, 1)],
        ir_version=_IR_VERSION,
    )
    onnx.save(model, str(path))


def _rounded(rows: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round float32 (rows, width) to int8 and a scale for each row, float32 (rows, 1)."""
    scales = np.maximum(np.abs(rows).max(axis=1, keepdims=True) / 127, np.float32(1e-12)).astype(np.float32)
    return np.round(rows / scales).astype(np.int8), scales


def _embed(graph: _Graph, weights: Weights, shape: BodyShape) -> str:
    """Look up words and places. Places are added from the first: a text is padded at its end."""
    words = weights["embeddings.word_embeddings.weight"]
    rounded, scales = _rounded(words)
    places = weights["embeddings.position_embeddings.weight"][: shape.max_tokens]
    places = places + weights["embeddings.token_type_embeddings.weight"][0]
    graph.constant("words", rounded)
    graph.constant("words.scales", scales)
    graph.constant("places", places.astype(np.float32))
    graph.add("Gather", ["words", "input_ids"], "words.rounded")
    graph.add("Cast", ["words.rounded"], "words.unscaled", to=1)
    graph.add("Gather", ["words.scales", "input_ids"], "words.scale")
    graph.add("Mul", ["words.unscaled", "words.scale"], "words.vectors")
    graph.add("Shape", ["input_ids"], "tokens", start=1, end=2)
    graph.add("Slice", ["places", graph.constant("first", np.zeros(1, np.int64)), "tokens"], "places.here")
    graph.add("Add", ["words.vectors", "places.here"], "embedded")
    return _normalise(graph, weights, shape, "embedded", "embeddings.LayerNorm")


def _normalise(graph: _Graph, weights: Weights, shape: BodyShape, source: str, name: str) -> str:
    inputs = [source, graph.constant(f"{name}.gain", weights[f"{name}.weight"])]
    inputs.append(graph.constant(f"{name}.shift", weights[f"{name}.bias"]))
    return graph.add("LayerNormalization", inputs, name, axis=-1, epsilon=shape.layer_norm_epsilon)


def _layer(graph: _Graph, weights: Weights, shape: BodyShape, layer: int, hidden: str) -> str:
    prefix = f"encoder.layer.{layer}"

    def of(part: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return weights[f"{prefix}.{part}.weight"], weights[f"{prefix}.{part}.bias"]

    three = [of(part) for part in _THREE]
    together = graph.linear(
        hidden,
        f"{prefix}.qkv",
        np.concatenate([weight for weight, _ in three]),
        np.concatenate([bias for _, bias in three]),
    )
    parts = [f"{prefix}.{part}" for part in ("query", "key", "value")]
    graph.nodes.append(helper.make_node("Split", [together, "thirds"], parts, name=f"{prefix}.split", axis=-1))
    heard = graph.add(
        "MultiHeadAttention",
        [*parts, "", "mask"],
        f"{prefix}.heard",
        domain=_RUNTIME,
        num_heads=shape.heads,
    )
    spoken = graph.linear(heard, f"{prefix}.spoken", *of("attention.output.dense"))
    graph.add("Add", [hidden, spoken], f"{prefix}.attended")
    middle = _normalise(graph, weights, shape, f"{prefix}.attended", f"{prefix}.attention.output.LayerNorm")
    wide = graph.linear(middle, f"{prefix}.wide", *of("intermediate.dense"))
    graph.add("Gelu", [wide], f"{prefix}.gelu", domain=_RUNTIME)
    narrow = graph.linear(f"{prefix}.gelu", f"{prefix}.narrow", *of("output.dense"))
    graph.add("Add", [middle, narrow], f"{prefix}.thought")
    return _normalise(graph, weights, shape, f"{prefix}.thought", f"{prefix}.output.LayerNorm")


def _pool(graph: _Graph, hidden: str) -> None:
    """Sum the tokens' vectors and scale to length 1; the mean has the same direction."""
    graph.add("Cast", ["attention_mask"], "counted", to=1)
    graph.add("Unsqueeze", ["counted", graph.constant("last", np.array([-1], np.int64))], "counted.wide")
    graph.add("Mul", [hidden, "counted.wide"], "said")
    graph.add("ReduceSum", ["said", graph.constant("over_tokens", np.array([1], np.int64))], "sum", keepdims=0)
    graph.add("LpNormalization", ["sum"], "vectors", axis=1, p=2)


def read_onnx(path: Path) -> tuple[dict[str, NDArray[np.float32]], BodyShape]:
    """Give back what `write_onnx` was given, as exactly as 8 bits keep it (one token type, no unused places)."""
    graph = onnx.load(str(path)).graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    places = stored["places"]
    weights = {
        "embeddings.word_embeddings.weight": stored["words"] * stored["words.scales"],
        "embeddings.position_embeddings.weight": places.copy(),
        "embeddings.token_type_embeddings.weight": np.zeros((1, places.shape[1]), np.float32),
    }
    for name, values in stored.items():
        if name.endswith(".gain"):
            weights[name.removesuffix("gain") + "weight"] = values.copy()
        elif name.endswith(".shift"):
            weights[name.removesuffix("shift") + "bias"] = values.copy()
    heard = [node for node in graph.node if node.op_type == "MultiHeadAttention"]
    for layer in range(len(heard)):
        weights |= _read_layer(stored, f"encoder.layer.{layer}", places.shape[1])
    attributes = {attribute.name: attribute for node in graph.node for attribute in node.attribute}
    shape = BodyShape(
        layers=len(heard),
        heads=attributes["num_heads"].i,
        layer_norm_epsilon=attributes["epsilon"].f,
        max_tokens=len(places),
    )
    return weights, shape


def _read_layer(stored: Weights, prefix: str, width: int) -> dict[str, NDArray[np.float32]]:
    weights: dict[str, NDArray[np.float32]] = {}
    for ours, part in (*_DENSE, ("qkv", "")):
        scales, bias = stored[f"{prefix}.{ours}.scales"], stored[f"{prefix}.{ours}.bias"]
        dense = stored[f"{prefix}.{ours}.weights"].T * scales[:, None]
        if part:
            weights |= {f"{prefix}.{part}.weight": dense, f"{prefix}.{part}.bias": bias.copy()}
            continue
        for third, name in enumerate(_THREE):
            rows = slice(third * width, (third + 1) * width)
            weights[f"{prefix}.{name}.weight"] = dense[rows].copy()
            weights[f"{prefix}.{name}.bias"] = bias[rows].copy()
    return weights
