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
import zlib

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

MAX_FILES = 1 << 24  # unpacked bytes of all files behind a model: 16 MiB, a thousand times what labels need
MAX_COVERED = 1 << 24  # pixels of a square picture before the crop; a contract with more of them is a broken one
LONGEST = 64  # a strip of 2,000,000x1 pixels would be resized to 448,000,000x224, which takes 10 GB
ORIENTATION = 0x0112  # the EXIF tag


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
        """Size of a picture before the crop: as large as just covers it, in integers, so that every port agrees.

        Raises:
            ValueError: it is so long that `LONGEST` crops beside one another would not cover it.
        """
        to_height, to_width = round(self.height / self.crop_fraction), round(self.width / self.crop_fraction)
        shorter, longer = sorted((width * to_height, height * to_width))
        if longer > LONGEST * shorter:
            raise ValueError(
                f"{width}x{height} pixels: too long for an input of {self.width}x{self.height}, which would show less "
                f"than a {LONGEST}th of it; cut the picture into parts"
            )
        if width * to_height >= height * to_width:
            return to_height, max(to_width, (width * to_height + height // 2) // height)
        return max(to_height, (height * to_width + width // 2) // width), to_width

    def pixels(self, image):
        """Turns a `PIL.Image.Image` upright, resizes and crops it; returns uint8 (height, width, channels).

        Raises:
            ValueError: it is too long (`resized`).
        """
        # Nothing is copied without need: 50 megapixels are 200 MB.
        if image.getexif().get(ORIENTATION, 1) != 1:
            image = ImageOps.exif_transpose(image)
        height, width = self.resized(image.height, image.width)
        if image.mode.startswith("I"):  # 16 bits a pixel: Pillow's own conversion would clip, not scale
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        if image.mode == "P" and "transparency" in image.info:
            image = image.convert("RGBA")
        mode = "RGB" if self.channels == 3 else "L"
        if image.mode != mode:
            image = image.convert(mode)
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
        self.input, self.output = _tensors(path, self.interpreter)
        shape, classes = tuple(int(n) for n in self.input["shape"][1:]), int(self.output["shape"][1])
        probabilities = ends_in_softmax(self.interpreter)
        self.contract = read_contract(path, shape, classes, labels, probabilities, self.input)

    def quantize(self, pixels):
        """Turns uint8 pixels (height, width, channels) into the input tensor's type, exactly where the scale allows."""
        kind = self.input["dtype"]
        x = (pixels.astype(np.float32) - self.contract.mean) / self.contract.std
        if kind == np.float32:
            return x
        scale, zero = quantization(self.input)
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
        scale, zero = quantization(self.output)
        return ((output.astype(np.float32) - zero) * scale).astype(np.float32)

    def probabilities(self, output):
        """Probabilities (classes,) of an output tensor; raises ValueError where one is no number."""
        values = self.dequantize(output).astype(np.float64)
        if self.contract.output == "logits":
            with np.errstate(invalid="ignore"):  # infinity less infinity is said below
                exponentials = np.exp(values - values.max())
            values = exponentials / exponentials.sum()
        if not np.isfinite(values).all():
            raise ValueError(
                "the network's answer is no number (NaN or infinite); its weights are damaged or it overflows"
            )
        return values

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


def quantization(tensor):
    """(scale, zero point) of LiteRT's details of a tensor; (1, 0) where it has none."""
    scale, zero = tensor["quantization"]
    return (scale, zero) if scale else (1.0, 0)


def read_contract(path, shape, classes, labels=None, probabilities=False, tensor=None):
    """The contract inside a `.tflite`; standard metadata where ours is missing; else the usual defaults, said aloud.

    Args:
        path: of the file.
        shape: (height, width, channels) of its input.
        classes: how many it tells apart.
        labels: class names that replace those in the file.
        probabilities: the network ends with a softmax; asked only where the file has no contract of ours.
        tensor: LiteRT's details of the input; asked only where the file says nothing of its scale.

    Raises:
        ValueError: what is inside is damaged or of another network, or `labels` are not as many as the classes.
    """
    files = read_files(path)
    if "contract.json" in files:
        contract = _saved_contract(path, files["contract.json"], shape)
    else:
        contract = _standard_contract(path, shape, classes, files, labels, tensor)
        contract = dataclasses.replace(contract, output="probabilities" if probabilities else "logits")
    if labels:
        contract = dataclasses.replace(contract, labels=tuple(labels))
    if len(contract.labels) != classes:
        names = ", ".join(contract.labels[:3])
        raise ValueError(f"{path}: it tells {classes} classes apart, got {len(contract.labels)} labels: {names}, …")
    _check(path, contract)
    return contract


def _saved_contract(path, text, shape):
    try:
        saved = json.loads(text)
        known = {f.name for f in dataclasses.fields(Contract)}
        fields = {name: value for name, value in saved.items() if name in known}
        fields |= {name: _one(_numbers(saved[name])) for name in ("mean", "std") if name in saved}
        contract = Contract(**fields | {"labels": tuple(saved["labels"])})
        if not isinstance(saved["labels"], list) or not all(isinstance(label, str) for label in contract.labels):
            raise TypeError("labels are no list of names")
    # A list instead of an object, or a hundred thousand brackets.
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ValueError(f"{path}: the contract.json inside is damaged ({error}); export the model again") from error
    if contract.shape != shape:
        raise ValueError(f"{path}: the contract inside says {contract.shape}, the network takes {shape}")
    height, width, channels = shape  # 32.0 equals 32
    return dataclasses.replace(contract, height=height, width=width, channels=channels)


def _numbers(value):
    """The numbers of a list, or one number, as JSON has them."""
    numbers = np.atleast_1d(value)
    if numbers.dtype.kind not in "iuf":
        raise TypeError(f"got {value!r}, expected numbers")
    return numbers.tolist()


def _check(path, contract):
    """Refuses what no picture can be prepared by."""
    try:
        numbers = [np.atleast_1d(np.asarray(value, np.float32)) for value in (contract.mean, contract.std)]
        usable = all(n.ndim == 1 and n.size in (1, contract.channels) and np.isfinite(n).all() for n in numbers)
        usable = usable and (numbers[1] != 0).all() and 0 < contract.crop_fraction <= 1
        usable = usable and contract.height * contract.width / contract.crop_fraction**2 <= MAX_COVERED
    except (ValueError, TypeError, ArithmeticError):
        usable = False
    if not usable or contract.output not in ("logits", "probabilities"):
        raise ValueError(
            f"{path}: it says of its pictures: mean {contract.mean}, std {contract.std}, crop "
            f"{contract.crop_fraction}, output {contract.output!r}; expected one number or {contract.channels}, no std "
            f"of 0, a crop of at most 1 out of at most {MAX_COVERED:,} pixels, and logits or probabilities"
        )


def _standard_contract(path, shape, classes, files, labels, tensor):
    with open(path, "rb") as file:
        content = file.read()
    try:
        scale = read_normalization(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if scale is None:
        scale, taken = shown_normalization(tensor)
        print(f"{path}: it says nothing of its scale; {taken}", file=sys.stderr)
    texts = [text for name, text in files.items() if name.endswith(".txt")]
    inside = read_labels(texts[0]) if texts else ()
    if not labels and len(inside) != classes:
        found = f"{path}: it has {len(inside)} labels for {classes} classes"
        print(f"{found}; numbers stand for classes (--labels names them)", file=sys.stderr)
        inside = tuple(str(i) for i in range(classes))
    return Contract(*shape, inside, mean=scale[0], std=scale[1])


def shown_normalization(tensor):
    """(mean, std) of a network that says nothing of its scale, and a sentence of what is taken.

    The range of an 8-bit input is what a converter saw of calibration pictures, and those hold black and white. So its
    lowest step is a pixel of 0 and its highest one of 255, whatever x is: 0 to 1, -1 to 1, 0 to 255. That is
    `q = pixel` for uint8 and `q = pixel - 128` for int8, exactly.

    It is no proof where calibration pictures lacked black or white (contrast is then stretched), where each channel
    has its own mean and std (their common range is taken), and of the order of channels (RGB is taken). Floats and 16
    bits show nothing: the usual `x = pixel / 127.5 - 1` is taken.

    Args:
        tensor: LiteRT's details of the input, or None.
    """
    if tensor is None or tensor["dtype"] not in (np.uint8, np.int8):
        return (127.5, 127.5), "taking x = pixel / 127.5 - 1"
    scale, zero = quantization(tensor)
    mean, std = float(zero - np.iinfo(tensor["dtype"]).min), 1 / scale
    lowest, highest = (0 - mean) / std, (255 - mean) / std
    return (mean, std), f"its 256 steps, {lowest:.4g} to {highest:.4g}, are taken for the pixels 0 to 255"


def read_labels(text):
    """Class names, one a line. Of a label with a line break there are two: the standard has no such label."""
    lines = text.removeprefix("\ufeff").split("\n")  # Windows' byte order mark, and below its line ends
    return tuple(line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1]))


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


def read_files(path):
    """Name -> text of the files in the zip behind a model; empty where there is none.

    Raises:
        ValueError: the zip is damaged, or more than `MAX_FILES` bytes are in it.
    """
    if not zipfile.is_zipfile(path):
        return {}
    texts, room = {}, MAX_FILES
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise ValueError(f"{entry.filename} is packed in a way that phones can't read")
                with archive.open(entry) as file:
                    content = file.read(room + 1)  # what the directory says of its size may be a lie
                room -= len(content)
                if room < 0:
                    raise ValueError(f"it holds more than {MAX_FILES:,} bytes")
                texts[entry.filename] = content.decode(errors="replace")
    # Encrypted, cut, of negative sizes: each has its own kind.
    except (zipfile.BadZipFile, zlib.error, struct.error, ValueError, RuntimeError, EOFError, OSError) as error:
        raise ValueError(f"{path}: the zip behind the model can't be used ({error})") from error
    return texts


def read_normalization(content):
    """(mean, std) of the first input in the standard metadata of a `.tflite`'s bytes, or None.

    Flatbuffers without a library: a table's first word leads to its list of slots; a slot leads to its value.

    Raises:
        ValueError: they are damaged.
    """
    try:
        model = _Table.root(content, 0)
        entry = next((entry for entry in model.vector(6) if entry.text(0) == "TFLITE_METADATA"), None)
        data = entry and model.vector(4)[entry.number(1)].position(0)
        if data is None:
            return None
        tables = [_Table.root(content, data + 4)]
        for slot in (3, 2, 4):  # the first subgraph's first input's process units
            tables = tables[0].vector(slot) if tables else []
        options = next((unit.table(1) for unit in tables if unit.byte(0) == 1), None)
        return options and tuple(_one(options.floats(slot)) for slot in (0, 1))
    except IndexError as error:
        raise ValueError(f"its metadata is damaged ({error}); export the model again") from error


def _one(values):
    """A number, or an array where channels differ or there is none."""
    return values[0] if len(set(values)) == 1 else np.array(values, np.float32)


class _Table:
    """A flatbuffer table at a place of a buffer. Reading beyond a damaged buffer's ends is an `IndexError`."""

    def __init__(self, content, place):
        self.content, self.place = content, place

    @classmethod
    def root(cls, content, start):
        return cls(content, start + cls(content, start)._read("<I", start))

    def _read(self, form, place):
        if not 0 <= place <= len(self.content) - struct.calcsize(form):
            raise IndexError(f"it leads to byte {place} of {len(self.content)}")
        return struct.unpack_from(form, self.content, place)[0]

    def _slot(self, slot):
        vtable = self.place - self._read("<i", self.place)
        size = self._read("<H", vtable)
        offset = self._read("<H", vtable + 4 + 2 * slot) if 4 + 2 * slot < size else 0
        return self.place + offset if offset else None

    def position(self, slot):
        """Where a string, vector or table of a slot begins, or None."""
        place = self._slot(slot)
        return None if place is None else place + self._read("<I", place)

    def _items(self, slot, form):
        place = self.position(slot)
        if place is None:
            return range(0)
        start, size = place + 4, struct.calcsize(form)
        return range(start, start + size * self._read("<I", place), size)

    def text(self, slot):
        places = self._items(slot, "B")
        return self.content[places.start : places.stop].decode(errors="replace")

    def byte(self, slot):
        place = self._slot(slot)
        return 0 if place is None else self._read("B", place)

    def number(self, slot):
        place = self._slot(slot)
        return 0 if place is None else self._read("<I", place)

    def table(self, slot):
        place = self.position(slot)
        return None if place is None else _Table(self.content, place)

    def vector(self, slot):
        return [_Table(self.content, place + self._read("<I", place)) for place in self._items(slot, "<I")]

    def floats(self, slot):
        return [self._read("<f", place) for place in self._items(slot, "<f")]
