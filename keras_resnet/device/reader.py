"""The reference reader of our `.tflite` files: opens one, prepares a thing by the contract, runs it, answers.

It needs ai-edge-litert, numpy and Pillow, nothing of TensorFlow, and knows only what is inside the file: our
`contract.json`, else standard TFLite Metadata, else the labels that it is given and the usual defaults, said aloud.
"""

import dataclasses
import time

import numpy as np

from . import metadata
from .tensors import opened


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a thing is taken for, by the contract's output (as `classes.Likeliest`), and the milliseconds it took."""

    shown: object
    preprocessing_ms: float
    inference_ms: float

    def as_json(self):
        times = {name: round(getattr(self, name), 3) for name in ("preprocessing_ms", "inference_ms")}
        return {**self.shown.as_json(), **times}

    def as_row(self):
        return [f"{self.preprocessing_ms:.3f}", f"{self.inference_ms:.3f}", *self.shown.as_row()]

    def as_text(self, name):
        head = f"{name}  ({self.preprocessing_ms:.1f} ms preprocessing, {self.inference_ms:.1f} ms inference)"
        return "\n".join([head, *(f"  {line}" for line in self.shown.as_lines())])


class Reader:
    """A `.tflite`, ready to run.

    Args:
        path: of the file.
        threads: of LiteRT.
        labels: class names in the order of the output, instead of those in the file.

    Raises:
        ValueError: it is no `.tflite`, none that this reader understands, or the labels are not as many as its classes.
    """

    def __init__(self, path, threads=1, labels=None):
        self.interpreter = opened(path, threads)
        self.input, self.output = _tensors(path, self.interpreter)
        shape, classes = tuple(int(n) for n in self.input["shape"][1:]), int(self.output["shape"][1])
        probabilities = ends_in_softmax(self.interpreter)
        self.contract = metadata.read_contract(path, shape, classes, labels, probabilities, self.input)

    def quantize(self, pixels):
        """Turns uint8 pixels (height, width, channels) into the input tensor's type, exactly where the scale allows."""
        return metadata.quantized(self.contract.input.scaled(pixels), self.input)

    def run(self, pixels):
        """Runs the network on uint8 pixels (height, width, channels); returns the output tensor (classes,) as it is."""
        return self.invoke(self.quantize(pixels))

    def invoke(self, tensor):
        """Runs the network on what `quantize` made; returns the output tensor (classes,) as it is."""
        self.interpreter.set_tensor(self.input["index"], tensor[None])
        self.interpreter.invoke()
        return self.interpreter.get_tensor(self.output["index"])[0]

    def dequantize(self, output):
        """Turns an output tensor into float32 scores: logits, or probabilities where the network ends with them."""
        return metadata.dequantized(output, self.output)

    def prepare(self, file, name=None):
        """The network's input of a file (a path, or a binary file that messages call `name`).

        Returns:
            (tensor, milliseconds that reading and preparing it took).

        Raises:
            ValueError: it can't be read or prepared.
        """
        return self._prepared(lambda: self.contract.input.read(file, file if name is None else name))

    def prepare_image(self, image):
        """The same of a `PIL.Image.Image`."""
        return self._prepared(lambda: self.contract.input.pixels(image))

    def _prepared(self, pixels):
        began = time.perf_counter()
        tensor = self.quantize(pixels())
        return tensor, 1000 * (time.perf_counter() - began)

    def answer(self, prepared, top=5):
        """The `Answer` to what `prepare` returned; raises ValueError where the network's is no number."""
        tensor, preprocessing_ms = prepared
        began = time.perf_counter()
        output = self.invoke(tensor)
        inference_ms = 1000 * (time.perf_counter() - began)
        return Answer(self.contract.output.answer(self.dequantize(output), top), preprocessing_ms, inference_ms)

    def predict(self, file, top=5):
        """What a file (a path, or a binary file) is taken for: `Answer.shown`, as `classes.Likeliest`."""
        return self.answer(self.prepare(file), top).shown


def _tensors(path, interpreter):
    """LiteRT's details of the input and the first output of an image classifier; ValueError where it is none."""
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()[:1]
    given, made = ([tuple(int(n) for n in tensor["shape"]) for tensor in tensors] for tensors in (inputs, outputs))
    ranks, sizes = [len(shape) for shape in given + made], sum(given + made, ())
    if ranks != [4, 2] or min(sizes) < 1 or given[0][0] != 1 or made[0][0] != 1 or given[0][3] not in (1, 3):
        raise ValueError(
            f"{path}: it makes {made} of {given}; expected (1, classes) of one picture (1, height, width, 1 or 3)"
        )
    for tensor in (*inputs, *outputs):
        if tensor["dtype"] not in (np.float32, np.uint8, np.int8, np.int16):
            kind = np.dtype(tensor["dtype"]).name
            raise ValueError(f"{path}: a tensor of {kind} comes in or out; expected float32, uint8, int8 or int16")
    return inputs[0], outputs[0]


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
