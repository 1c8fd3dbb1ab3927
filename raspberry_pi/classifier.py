"""The reference reader of our `.tflite` files: opens one, prepares a picture with Pillow, runs it, names what it sees.

It needs ai-edge-litert, numpy and Pillow, nothing of TensorFlow, and knows only what is inside the file: our
`contract.json`, else standard TFLite Metadata, else the labels that it is given and the usual defaults, said aloud.
"""

import dataclasses
import json
import struct
import sys
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
        return np.asarray(image, np.uint8).reshape(self.height, self.width, self.channels)


class Classifier:
    """A `.tflite` classifier, ready to run.

    Args:
        path: of the file.
        threads: of LiteRT.
        labels: class names, for a file that carries none.

    Raises:
        ValueError: it is no `.tflite`, or no image classifier.
    """

    def __init__(self, path, threads=1, labels=None):
        try:
            self.interpreter = Interpreter(model_path=str(path), num_threads=threads)
            self.interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"{path}: no .tflite that LiteRT can run ({str(error).splitlines()[0]})") from error
        self.input, self.output = self.interpreter.get_input_details()[0], self.interpreter.get_output_details()[0]
        shape = tuple(int(n) for n in self.input["shape"])
        if len(shape) != 4 or shape[3] not in (1, 3) or len(self.output["shape"]) != 2:
            raise ValueError(f"{path}: its input has shape {shape}; expected one picture (1, height, width, 1 or 3)")
        self.contract = read_contract(path, shape[1:], int(self.output["shape"][1]), labels)

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
        self.interpreter.set_tensor(self.input["index"], self.quantize(pixels)[None])
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

    def classify(self, image, top=5):
        """Names what a `PIL.Image.Image` shows: a list of (label, probability), the likeliest first."""
        probabilities = self.probabilities(self.run(self.contract.pixels(image)))
        return [(self.contract.labels[i], float(probabilities[i])) for i in np.argsort(-probabilities)[:top]]


def read_contract(path, shape, classes, labels=None):
    """The contract inside a `.tflite`; standard metadata where ours is missing; else what is given, said aloud."""
    files = read_files(path)
    if "contract.json" in files:
        saved = json.loads(files["contract.json"])
        known = {f.name for f in dataclasses.fields(Contract)}
        return Contract(**{**{k: v for k, v in saved.items() if k in known}, "labels": tuple(saved["labels"])})
    with open(path, "rb") as file:
        mean, std = read_normalization(file.read()) or (None, None)
    texts = [text for name, text in files.items() if name.endswith(".txt")]
    labels = labels or (texts[0].split("\n")[:classes] if texts else None)
    if mean is None:
        print(f"{path}: it says nothing of its scale; taking x = pixel / 127.5 - 1", file=sys.stderr)
        mean = std = 127.5
    if labels is None or len(labels) != classes:
        print(f"{path}: it has no {classes} labels; numbers stand for classes", file=sys.stderr)
        labels = [str(i) for i in range(classes)]
    return Contract(*shape, tuple(labels), mean=mean, std=std)


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
