"""Whether a pure int8 `.tflite` computes what its training simulated, operator by operator.

Each operator is given the file's own inputs on both sides, so that errors can't add up: from end to end a deep network
that has learned little is chaos, where one step of one value changes everything. This tells a wrong operator from that.
"""

import dataclasses
import re
import typing

import numpy as np
from keras import layers

from keras_resnet.device import metadata
from keras_resnet.quantization.fake_quantization import FakeQuantize
from keras_resnet.quantization.translation import call, nodes


@dataclasses.dataclass
class Tensor:
    """One operator's output beside its simulation.

    Attributes:
        layer: the last of those that the operator is made of.
        made: what the file's operator makes, int64 (n, …), in steps of its scale.
        simulated: what training has, int64, in the same steps.
    """

    layer: str
    made: np.ndarray
    simulated: np.ndarray

    @property
    def steps(self):
        """How far apart they are, in steps."""
        return np.abs(self.made - self.simulated)


def compare(model, content, pictures):
    """Runs a file and its simulation side by side, by LiteRT's own kernels.

    Args:
        model: `keras.Model` that `quantize_aware` made, as the file was made of it.
        content: the file's bytes.
        pictures: float32 (n, height, width, channels) within the model's input range; a list of arrays for several
            inputs, in their order.

    Yields:
        A `Tensor` for each operator whose output is rounded, in the order of the graph.

    Raises:
        ValueError: the file has no tensor for a layer, or one that no layer explains.
    """
    given = pictures if isinstance(pictures, list) else [pictures]
    given = {i.name: np.asarray(part, i.dtype) for i, part in zip(model.inputs, given, strict=True)}
    values = {id(i): given[i.name] for i in model.inputs}
    made = outputs(content, given)
    for node in nodes(model):
        key = id(node.output_tensors[0])
        values[key] = np.array(call(node, values))
        before = node.input_tensors[0]._keras_history.operation
        if not isinstance(node.operation, FakeQuantize) or isinstance(before, layers.InputLayer):
            continue
        # Of a layer that is called twice, the first call's comes first; a reshape behind it gives it another name.
        named = [re.compile(rf"/{re.escape(name)}(_\d+)?/") for name in (before.name, node.operation.name)]
        names = [n for part in named for n in made if part.search(n) and made[n].values.size == values[key].size]
        if not names:
            raise ValueError(f"layer {before.name}: the file has no tensor of this name")
        output, scale, zero, _ = made.pop(names[0])
        output = output.reshape(values[key].shape)
        yield Tensor(before.name, output, np.round(values[key] / scale).astype(np.int64) + zero)
        values[key] = ((output - zero) * scale).astype(np.float32)
    if odd := [name for name, output in made.items() if output.operator not in MOVING]:
        raise ValueError(f"no layer of the model explains the file's {odd[0]}")


def report(model, content, pictures):
    """One sentence on how alike a file and its simulation are, and the operators furthest apart."""
    tensors = sorted(compare(model, content, pictures), key=lambda tensor: np.mean(tensor.steps == 0))
    equal = np.mean(np.concatenate([tensor.steps.ravel() == 0 for tensor in tensors]))
    worst = ", ".join(
        f"{tensor.layer} {np.mean(tensor.steps == 0):.2%} (at most {tensor.steps.max()} apart)"
        for tensor in tensors[:3]
    )
    return f"{len(tensors)} operators, given the file's own inputs: {equal:.3%} of the values equal; least: {worst}"


# Operators that hand on the values they get.
MOVING = {"MAX_POOL_2D", "REDUCE_MAX", "MAXIMUM", "MINIMUM", "CONCATENATION", "PAD", "PADV2", "RESHAPE", "TRANSPOSE"}
MOVING |= {"SLICE", "STRIDED_SLICE", "TILE", "RESIZE_NEAREST_NEIGHBOR", "SQUEEZE", "EXPAND_DIMS"}


class Output(typing.NamedTuple):
    """An operator's output: int64 (n, …), in steps of a scale."""

    values: np.ndarray
    scale: float
    zero: int
    operator: str


def outputs(content, given):
    """Returns name -> `Output` of each operator of a file in int8.

    Args:
        content: the file's bytes.
        given: name of an input -> array (n, …); one alone may have any name.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=content,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    inputs = interpreter.get_signature_runner().get_input_details()
    inputs = inputs if len(inputs) > 1 else dict(zip(given, inputs.values(), strict=True))
    details = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    kinds, made = {}, {}
    for operator in interpreter._get_ops_details():
        kinds |= dict.fromkeys(operator["outputs"], operator["op_name"])
        if operator["op_name"] != "QUANTIZE":
            made |= {index: [] for index in operator["outputs"] if details[index]["dtype"] == np.int8}
    for i in range(len(next(iter(given.values())))):
        for name, tensor in inputs.items():
            interpreter.set_tensor(tensor["index"], metadata.quantized(given[name][i], tensor)[None])
        interpreter.invoke()
        for index, outputs in made.items():
            outputs.append(interpreter.get_tensor(index)[0])
    return {
        details[i]["name"]: Output(np.array(outputs, np.int64), *details[i]["quantization"], kinds[i])
        for i, outputs in made.items()
    }
