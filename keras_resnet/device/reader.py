"""The reference reader of our `.tflite` files: opens one, prepares a thing by the contract, runs it, answers.

It needs ai-edge-litert, numpy and Pillow, nothing of TensorFlow, and knows only what is inside the file: our
`contract.json`, else standard TFLite Metadata, else the labels that it is given and the usual defaults, said aloud.
"""

import dataclasses
import time
from typing import NamedTuple

import numpy as np

from . import metadata
from .picture import upright_size
from .tensors import invoke, named, opened


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a thing is taken for, by the contract's output (as `classes.Likeliest`), and the milliseconds it took.

    `outputs` is what the network made of it, float32.
    """

    shown: object
    preprocessing_ms: float
    inference_ms: float
    outputs: object = dataclasses.field(default=None, repr=False)

    def as_json(self):
        times = {name: round(getattr(self, name), 3) for name in ("preprocessing_ms", "inference_ms")}
        return {**self.shown.as_json(), **times}

    def as_rows(self):
        times = [f"{self.preprocessing_ms:.3f}", f"{self.inference_ms:.3f}"]
        return [[*times, *row] for row in self.shown.as_rows()]

    def as_text(self, name):
        head = f"{name}  ({self.preprocessing_ms:.1f} ms preprocessing, {self.inference_ms:.1f} ms inference)"
        return "\n".join([head, *(f"  {line}" for line in self.shown.as_lines())])


class Prepared(NamedTuple):
    """A thing as the network takes it, the milliseconds that took, a picture's own (height, width), and its pixels."""

    tensor: np.ndarray
    milliseconds: float
    size: tuple
    pixels: np.ndarray


class Reader:
    """A `.tflite`, ready to run.

    Where its network has several outputs, as those of boxes, what is said of the output holds for a list of them.

    Args:
        path: of the file.
        threads: of LiteRT.
        labels: class names in the order of the output, instead of those in the file.

    Attributes:
        contract: `Contract`.
        input, outputs: LiteRT's details of the tensors; of several inputs by their names.

    Raises:
        ValueError: it is no `.tflite`, none that this reader understands, or the labels are not as many as its classes.
    """

    def __init__(self, path, threads=1, labels=None):
        self.interpreter = opened(path, threads)
        saved = metadata.saved_contract(path)
        self.input, self.outputs = _tensors(path, self.interpreter, saved)
        made = [_shape(tensor) for tensor in self.outputs]
        several = bool(saved) and saved.input.KIND == "several"
        shape = {name: _shape(one) for name, one in self.input.items()} if several else _shape(self.input)
        probabilities = ends_in_softmax(self.interpreter)
        self.contract = metadata.read_contract(path, saved, shape, made, labels, probabilities, self.input)

    @property
    def several(self):
        """Whether the network has inputs by name."""
        return self.contract.input.KIND == "several"

    @property
    def output(self):
        """The first output."""
        return self.outputs[0]

    def quantize(self, pixels):
        """Turns uint8 pixels (height, width, channels) into the input tensor's type, exactly where the scale allows.

        Numbers of a text, int32, are what it takes. Several inputs are given and returned by their names.
        """
        x = self.contract.input.scaled(pixels)
        if self.several:
            return {name: metadata.quantized(x[name], tensor) for name, tensor in self.input.items()}
        return metadata.quantized(x, self.input)

    def run(self, pixels):
        """Runs the network on uint8 pixels (height, width, channels); returns the output, as (classes,), as it is."""
        return self.invoke(self.quantize(pixels))

    def invoke(self, tensor):
        """Runs the network on what `quantize` made; returns the output, as (classes,), as it is."""
        for given, details in self._inputs(tensor):
            self.interpreter.set_tensor(details["index"], given[None])
        invoke(self.interpreter)
        made = [self.interpreter.get_tensor(output["index"])[0] for output in self.outputs]
        return made[0] if len(made) == 1 else made

    def _inputs(self, tensor):
        """Pairs of what an input is given and LiteRT's details of it."""
        return [(tensor[name], one) for name, one in self.input.items()] if self.several else [(tensor, self.input)]

    def dequantize(self, output):
        """Turns an output into float32 scores: logits, or probabilities where the network ends with them."""
        if len(self.outputs) == 1:
            return metadata.dequantized(output, self.output)
        return [metadata.dequantized(*pair) for pair in zip(output, self.outputs, strict=True)]

    def prepare(self, file, name=None):
        """The network's input of a file (a path, or a binary file that messages call `name`), as `Prepared`.

        Of several inputs: of a dict of their names and files.

        Raises:
            ValueError: it can't be read or prepared.
        """
        began = time.perf_counter()
        pixels, size = self.contract.input.read_sized(file, file if name is None else name)
        return self._prepared(pixels, size, began)

    def prepare_image(self, image):
        """The same of a `PIL.Image.Image`."""
        began = time.perf_counter()
        return self._prepared(self.contract.input.pixels(image), upright_size(image), began)

    def prepare_samples(self, samples):
        """The same of a recording, float64 (n,) in [-1, 1) at the contract's rate."""
        began = time.perf_counter()
        return self._prepared(self.contract.input.pixels(samples), None, began)

    def _prepared(self, pixels, size, began):
        tensor = self.quantize(pixels)
        return Prepared(tensor, 1000 * (time.perf_counter() - began), size, pixels)

    def answer(self, prepared, top=5):
        """The `Answer` to what `prepare` returned; raises ValueError where the network's is no number."""
        began = time.perf_counter()
        output = self.invoke(prepared.tensor)
        inference_ms = 1000 * (time.perf_counter() - began)
        outputs = self.dequantize(output)
        shown = self.contract.answer(outputs, prepared.size, top)
        return Answer(shown, prepared.milliseconds, inference_ms, outputs)

    def predict(self, file, top=5):
        """What a file (a path, or a binary file) is taken for: `Answer.shown`, as `classes.Likeliest`."""
        return self.answer(self.prepare(file), top).shown


def _shape(tensor):
    """Of a tensor by LiteRT's details of it, without the batch."""
    return tuple(int(n) for n in tensor["shape"][1:])


def _tensors(path, interpreter, contract):
    """LiteRT's details of the input, and of a contract's outputs, else of the first; ValueError where it has others.

    Of several inputs: of each by its name.
    """
    there = named(interpreter)
    several = bool(contract) and contract.input.KIND == "several"
    names = list(contract.shape) if several else (), contract.output.TENSORS if contract else ()
    for kind, wanted, found in zip(("input", "output"), names, there, strict=True):
        if lacking := [name for name in wanted if name not in found]:
            raise ValueError(
                f"{path}: the contract inside wants an {kind} {lacking[0]}, the network has {', '.join(found)}"
            )
    inputs = [there[0][name] for name in names[0]] or interpreter.get_input_details()
    outputs = [there[1][name] for name in names[1]] or interpreter.get_output_details()[:1]
    given, made = ([tuple(int(n) for n in tensor["shape"]) for tensor in tensors] for tensors in (inputs, outputs))
    shapes = [*contract.shape.values()] if several else [contract.shape if contract else (0, 0, 0)]
    ranks, sizes = [len(shape) for shape in given + made], sum(given + made, ())
    wanted = [1 + len(shape) for shape in (*shapes, *(contract.output.shapes if contract else [(0,)]))]
    batches = {shape[0] for shape in given + made if shape}
    odd = [shape for shape in given if len(shape) == 4 and shape[3] not in (1, 3)]
    if ranks != wanted or min(sizes) < 1 or batches != {1} or odd or len(there[0]) != len(inputs):
        expected = "(1, classes)" if wanted == [4, 2] else f"{[(1, *shape) for shape in contract.output.shapes]}"
        of = [(1, *shape) for shape in shapes] if several else "one picture (1, height, width, 1 or 3)"
        raise ValueError(f"{path}: it makes {made} of {given}; expected {expected} of {of}")
    for tensor in (*inputs, *outputs):
        of_numbers = [np.int32] if len(tensor["shape"]) == 3 and any(tensor is one for one in inputs) else []
        if tensor["dtype"] not in (np.float32, np.uint8, np.int8, np.int16, *of_numbers):
            kind = np.dtype(tensor["dtype"]).name
            raise ValueError(f"{path}: a tensor of {kind} comes in or out; expected float32, uint8, int8 or int16")
    return dict(zip(names[0], inputs, strict=True)) if several else inputs[0], outputs


def ends_in_softmax(interpreter):
    """Whether a network's last operator, changes of type aside, is a softmax."""
    made_by = {
        int(i): op for op in interpreter._get_ops_details() if op["op_name"] != "DELEGATE" for i in op["outputs"]
    }
    op = made_by.get(interpreter.get_output_details()[0]["index"])
    for _ in made_by:  # as many at most: a damaged graph may run in a circle
        if not op or op["op_name"] not in ("QUANTIZE", "DEQUANTIZE"):
            break
        op = made_by.get(int(op["inputs"][0]))
    return bool(op) and op["op_name"] == "SOFTMAX"
