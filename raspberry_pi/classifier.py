"""The reference reader of our `.tflite` files: opens one, prepares a picture with Pillow, runs it, names what it sees.

It needs ai-edge-litert, numpy and Pillow, nothing of TensorFlow, and knows only what is inside the file: our
`contract.json`, else standard TFLite Metadata, else the labels that it is given and the usual defaults, said aloud.
"""

import dataclasses
import json
import struct
import sys
import time
import zipfile

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps


@dataclasses.dataclass(frozen=True)
class Contract:
    """How a picture becomes the network's input: `x = (pixel - mean) / std`, after resize and crop."""

    height: int
    width: int
    channels: int
    labels: tuple
    crop_fraction: float = 1.0
    mean: float = 128.0
    std: float = 128.0
    output: str = "logits"

    @property
    def shape(self):
        return self.height, self.width, self.channels

    def resized(self, height, width):
        """Size of a picture before the crop: as large as just covers it, in integers, so that every port agrees."""
        to_height, to_width = round(self.height / self.crop_fraction), round(self.width / self.crop_fraction)
        if width * to_height >= height * to_width:
            return to_height, max(to_width, (width * to_height + height // 2) // height)
        return max(to_height, (height * to_width + width // 2) // width), to_width

    def pixels(self, image):
        """Turns a `PIL.Image.Image` upright, resizes and crops it; returns uint8 (height, width, channels)."""
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):  # 16 bits a pixel: Pillow's own conversion would clip, not scale
            image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
        if image.mode == "P" and "transparency" in image.info:
            image = image.convert("RGBA")
        image = image.convert("RGB" if self.channels == 3 else "L")
        height, width = self.resized(image.height, image.width)
        if (height, width) != (image.height, image.width):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        top, left = (height - self.height) // 2, (width - self.width) // 2
        image = image.crop((left, top, left + self.width, top + self.height))
        return np.asarray(image, np.uint8).reshape(self.shape)


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a picture shows: (label, probability) pairs, the likeliest first, and the milliseconds that it took."""

    top: list
    preprocessing_ms: float
    inference_ms: float


class Classifier:
    """A `.tflite` classifier, ready to run.

    Args:
        path: of the file.
        threads: of LiteRT.
        labels: class names in the order of the output, instead of those in the file.

    Raises:
        ValueError: it is no `.tflite`, no image classifier, or the labels are not as many as its classes.
    """

    def __init__(self, path, threads=1, labels=None):
        try:
            self.interpreter = Interpreter(model_path=str(path), num_threads=threads)
            self.interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"{path}: no .tflite that LiteRT can run ({str(error).splitlines()[0]})") from error
        self.input, self.output = self.interpreter.get_input_details()[0], self.interpreter.get_output_details()[0]
        shape = tuple(int(n) for n in self.input["shape"])
        made = tuple(int(n) for n in self.output["shape"])
        if len(shape) != 4 or shape[0] != 1 or shape[3] not in (1, 3) or len(made) != 2:
            raise ValueError(
                f"{path}: it makes {made} of {shape}; expected (1, classes) of one picture (1, height, width, 1 or 3)"
            )
        self.contract = read_contract(path, shape[1:], made[1], labels, ends_in_softmax(self.interpreter))

    def quantize(self, pixels):
        """Turns uint8 pixels (height, width, channels) into the input tensor's type, exactly where the scale allows."""
        kind = self.input["dtype"]
        x = (pixels.astype(np.float32) - self.contract.mean) / self.contract.std
        if kind == np.float32:
            return x
        scale, zero = self.input["quantization"]
        limits = np.iinfo(kind)
        return np.clip(np.round(x / scale) + zero, limits.min, limits.max).astype(kind)

    def run(self, pixels):
        """Runs the network on uint8 pixels (height, width, channels); returns the output tensor (classes,) as it is."""
        return self.invoke(self.quantize(pixels))

    def invoke(self, tensor):
        """Runs the network on what `quantize` made; returns the output tensor (classes,) as it is."""
        self.interpreter.set_tensor(self.input["index"], tensor[None])
        self.interpreter.invoke()
        return self.interpreter.get_tensor(self.output["index"])[0]

    def dequantize(self, output):
        """Turns an output tensor into float32 logits (or probabilities, where the network ends with them)."""
        if output.dtype == np.float32:
            return output
        scale, zero = self.output["quantization"]
        return ((output.astype(np.float32) - zero) * scale).astype(np.float32)

    def probabilities(self, output):
        """Probabilities (classes,) of an output tensor."""
        values = self.dequantize(output).astype(np.float64)
        if self.contract.output != "logits":
            return values
        exponentials = np.exp(values - values.max())
        return exponentials / exponentials.sum()

    def prepare(self, image, began=None):
        """The network's input (height, width, channels) of a `PIL.Image.Image`, and the milliseconds that it took.

        `began`, of `time.perf_counter`, is given where reading the picture shall count.
        """
        began = time.perf_counter() if began is None else began
        tensor = self.quantize(self.contract.pixels(image))
        return tensor, 1000 * (time.perf_counter() - began)

    def answer(self, prepared, top=5):
        """The `Answer` to what `prepare` returned."""
        tensor, preprocessing_ms = prepared
        began = time.perf_counter()
        output = self.invoke(tensor)
        inference_ms = 1000 * (time.perf_counter() - began)
        probabilities = self.probabilities(output)
        # Stable: equal int8 logits are common, and every machine shall name them in the same order.
        likeliest = np.argsort(-probabilities, kind="stable")[:top]
        pairs = [(self.contract.labels[i], float(probabilities[i])) for i in likeliest]
        return Answer(pairs, preprocessing_ms, inference_ms)

    def classify(self, image, top=5):
        """Names what a `PIL.Image.Image` shows: a list of (label, probability), the likeliest first."""
        return self.answer(self.prepare(image), top).top


def read_contract(path, shape, classes, labels=None, probabilities=False):
    """The contract inside a `.tflite`; standard metadata where ours is missing; else the usual defaults, said aloud.

    Args:
        path: of the file.
        shape: (height, width, channels) of its input.
        classes: how many it tells apart.
        labels: class names that replace those in the file.
        probabilities: the network ends with a softmax; asked only where the file has no contract of ours.
    """
    files = read_files(path)
    if "contract.json" in files:
        contract = _saved_contract(path, files["contract.json"])
        if (contract.height, contract.width, contract.channels) != shape:
            raise ValueError(f"{path}: the contract inside says {contract.shape}, the network takes {shape}")
    else:
        contract = _standard_contract(path, shape, classes, files, labels)
        contract = dataclasses.replace(contract, output="probabilities" if probabilities else "logits")
    if labels:
        contract = dataclasses.replace(contract, labels=tuple(labels))
    if len(contract.labels) != classes:
        names = ", ".join(contract.labels[:3])
        raise ValueError(f"{path}: it tells {classes} classes apart, got {len(contract.labels)} labels: {names}, …")
    return contract


def _saved_contract(path, text):
    try:
        saved = json.loads(text)
        known = {f.name for f in dataclasses.fields(Contract)}
        return Contract(**{**{k: v for k, v in saved.items() if k in known}, "labels": tuple(saved["labels"])})
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: the contract.json inside is damaged ({error}); export the model again") from error


def _standard_contract(path, shape, classes, files, labels):
    with open(path, "rb") as file:
        scale = read_normalization(file.read())
    if scale is None:
        print(f"{path}: it says nothing of its scale; taking x = pixel / 127.5 - 1", file=sys.stderr)
        scale = (127.5, 127.5)
    texts = [text for name, text in files.items() if name.endswith(".txt")]
    inside = tuple(texts[0].splitlines()) if texts else ()
    if not labels and len(inside) != classes:
        print(f"{path}: it has no {classes} labels; numbers stand for classes (--labels names them)", file=sys.stderr)
        inside = tuple(str(i) for i in range(classes))
    return Contract(*shape, inside, mean=scale[0], std=scale[1])


def ends_in_softmax(interpreter):
    """Whether a network's last operator, changes of type aside, is a softmax."""
    made_by = {
        int(i): op for op in interpreter._get_ops_details() if op["op_name"] != "DELEGATE" for i in op["outputs"]
    }
    op = made_by.get(interpreter.get_output_details()[0]["index"])
    while op and op["op_name"] in ("QUANTIZE", "DEQUANTIZE"):
        op = made_by.get(int(op["inputs"][0]))
    return bool(op) and op["op_name"] == "SOFTMAX"


def read_files(path):
    """Name -> text of the files in the zip behind a model; empty where there is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name).decode() for name in archive.namelist()}
    except zipfile.BadZipFile:
        return {}


def read_normalization(content):
    """(mean, std) of the first input in the standard metadata of a `.tflite`'s bytes, or None.

    Flatbuffers without a library: a table's first word leads to its list of slots; a slot leads to its value.
    """
    model = _Table(content, struct.unpack_from("<I", content)[0])
    buffers = model.vector(4)
    for entry in model.vector(6):
        if entry.text(0) == "TFLITE_METADATA":
            number = entry.number(1)
            data = buffers[number].position(0)
            if data is None:
                return None
            start = data + 4
            root = _Table(content, start + struct.unpack_from("<I", content, start)[0])
            for unit in root.vector(3)[0].vector(2)[0].vector(4):
                if unit.byte(0) == 1:
                    options = unit.table(1)
                    return tuple(_one(options.floats(slot)) for slot in (0, 1))
    return None


def _one(values):
    """A number, or an array where channels differ."""
    return values[0] if len(set(values)) == 1 else np.array(values, np.float32)


class _Table:
    """A flatbuffer table at a place of a buffer."""

    def __init__(self, content, place):
        self.content, self.place = content, place

    def _slot(self, slot):
        vtable = self.place - struct.unpack_from("<i", self.content, self.place)[0]
        size = struct.unpack_from("<H", self.content, vtable)[0]
        offset = struct.unpack_from("<H", self.content, vtable + 4 + 2 * slot)[0] if 4 + 2 * slot < size else 0
        return self.place + offset if offset else None

    def position(self, slot):
        """Where a string, vector or table of a slot begins, or None."""
        place = self._slot(slot)
        return None if place is None else place + struct.unpack_from("<I", self.content, place)[0]

    def _items(self, slot):
        place = self.position(slot)
        return (0, 0) if place is None else (place + 4, struct.unpack_from("<I", self.content, place)[0])

    def text(self, slot):
        start, size = self._items(slot)
        return self.content[start : start + size].decode()

    def byte(self, slot):
        place = self._slot(slot)
        return 0 if place is None else self.content[place]

    def number(self, slot):
        place = self._slot(slot)
        return 0 if place is None else struct.unpack_from("<I", self.content, place)[0]

    def table(self, slot):
        return _Table(self.content, self.position(slot))

    def vector(self, slot):
        start, size = self._items(slot)
        places = [start + 4 * i for i in range(size)]
        return [_Table(self.content, p + struct.unpack_from("<I", self.content, p)[0]) for p in places]

    def floats(self, slot):
        start, size = self._items(slot)
        return struct.unpack_from(f"<{size}f", self.content, start)
