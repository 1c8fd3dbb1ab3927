"""What is inside a `.tflite` besides the network: our `contract.json`, else standard TFLite Metadata, else nothing.

Where a file says nothing, the usual defaults are taken, and said aloud.
"""

import dataclasses
import struct
import sys
import zipfile
import zlib

import numpy as np

from . import archives
from .classes import Classes
from .contract import Contract, Unknown, read
from .picture import Picture

MAX_FILES = 1 << 24  # unpacked bytes of all files behind a model: 16 MiB, a thousand times what labels need


def saved_contract(path):
    """Our own contract inside a `.tflite`, or None; raises ValueError where it is damaged."""
    files = read_files(path)
    if "contract.json" not in files:
        return None
    try:
        return read(files["contract.json"])
    except Unknown as error:
        raise ValueError(f"{path}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: the contract.json inside is damaged ({error}); export the model again") from error


def read_contract(path, saved, shape, made, labels=None, probabilities=False, tensor=None):
    """The contract of a `.tflite`: ours, else its standard metadata's, else the usual defaults, said aloud.

    Args:
        path: of the file.
        saved: `saved_contract` of it.
        shape: (height, width, channels) of its input.
        made: shapes of its outputs, without the batch; where it has no contract of ours, [(classes,)].
        labels: class names that replace those in the file.
        probabilities: the network ends with a softmax; asked only where the file has no contract of ours.
        tensor: LiteRT's details of the input; asked only where the file says nothing of its scale.

    Raises:
        ValueError: what is inside is damaged or of another network, or `labels` are not as many as the classes.
    """
    if saved and saved.shape != shape:
        raise ValueError(f"{path}: the contract inside says {saved.shape}, the network takes {shape}")
    contract = saved or _standard_contract(path, shape, made[0][0], labels, tensor, probabilities)
    if labels:
        contract = dataclasses.replace(contract, output=dataclasses.replace(contract.output, labels=tuple(labels)))
    wanted, names = contract.output.shapes, ", ".join([*contract.labels[:3], *["…"][: len(contract.labels) > 3]])
    if [shape[:-1] for shape in wanted] != [shape[:-1] for shape in made]:
        raise ValueError(f"{path}: the contract inside wants outputs of {wanted}, the network makes {made}")
    if wanted != made:
        raise ValueError(f"{path}: it tells {made[-1][-1]} classes apart, got {len(contract.labels)} labels: {names}")
    return contract


def _standard_contract(path, shape, classes, labels, tensor, probabilities):
    files, scores = read_files(path), "probabilities" if probabilities else "logits"
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
    try:
        return Contract(Picture(*shape, mean=scale[0], std=scale[1]), Classes(inside, scores))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: what it says of its pictures can't be ({error})") from error


def quantization(tensor):
    """(scale, zero point) of LiteRT's details of a tensor; (1, 0) where it has none."""
    scale, zero = tensor["quantization"]
    return (scale, zero) if scale else (1.0, 0)


def quantized(x, tensor):
    """Turns float32 values into the type that LiteRT's details of a tensor name, clipped to what it holds."""
    if tensor["dtype"] in (np.float32, x.dtype):
        return x
    scale, zero = quantization(tensor)
    limits = np.iinfo(tensor["dtype"])
    return np.clip(np.round(x / scale) + zero, limits.min, limits.max).astype(tensor["dtype"])


def dequantized(output, tensor):
    """Turns a tensor as it is into float32, by LiteRT's details of it."""
    if output.dtype == np.float32:
        return output
    scale, zero = quantization(tensor)
    return ((output.astype(np.float32) - zero) * scale).astype(np.float32)


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


def read_files(path):
    """Name -> text of the files in the zip behind a model; empty where there is none.

    Raises:
        ValueError: the zip is damaged, or more than `MAX_FILES` bytes, or too many files, are in it.
    """
    if not zipfile.is_zipfile(path):
        return {}
    texts, room = {}, MAX_FILES
    try:
        with zipfile.ZipFile(path) as archive:
            if len(archive.infolist()) > archives.MOST_ENTRIES:
                raise ValueError(f"it holds {len(archive.infolist()):,} files, more than {archives.MOST_ENTRIES:,}")
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
    """(mean, std), a list each, of the first input in the standard metadata of a `.tflite`'s bytes, or None.

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
        return options and tuple(options.floats(slot) for slot in (0, 1))
    except IndexError as error:
        raise ValueError(f"its metadata is damaged ({error}); export the model again") from error


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
