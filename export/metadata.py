"""What travels inside a `.tflite`: standard TFLite Metadata, so that any MediaPipe or Android client can use it,
and behind the model, as an appended zip, `labels.txt` and our own `contract.json` for what the standard can't say.

The flatbuffer is written by hand: the standard's schema (metadata_schema.fbs 1.5) is in no package that installs
beside TensorFlow and tensorflow-model-optimization. Slots are the schema's, in its order.
"""

import dataclasses
import io
import json
import zipfile

import flatbuffers
import numpy as np

NAME = b"TFLITE_METADATA"
IMAGE_PROPERTIES, NORMALIZATION, AXIS_LABELS = 2, 1, 2  # numbers of the schema's unions and enumerations
RGB, GRAYSCALE = 1, 2


@dataclasses.dataclass(frozen=True)
class Card:
    """What the standard wants to know of a model besides its tensors; what is empty is not in the file."""

    name: str
    description: str = ""
    version: str = ""
    author: str = ""
    license: str = ""


def card(name, options):
    """The `Card` of a model by the options of its export."""
    return Card(name, options.description, options.model_version, options.author, options.license)


def embed(content, contract, card):
    """Puts metadata, labels and contract into a `.tflite`.

    Bytes of a name that are not UTF-8 become U+FFFD. In `labels.txt`, one name a line, a line break becomes a space;
    `contract.json` keeps it.

    Args:
        content: the file's bytes, as the converter made them.
        contract: `Contract` of pictures and classes; its scores are what the network ends with.
        card: `Card`.

    Returns:
        The bytes of a file that every TFLite runtime reads as before.
    """
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(model_metadata(contract, card), np.uint8)
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = NAME, len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    labels = [" ".join(label.splitlines()) for label in contract.labels]
    return append_files(
        bytes(flatbuffer_utils.convert_object_to_bytearray(model)),
        {
            "labels.txt": "\n".join(labels) + "\n",
            "contract.json": json.dumps(contract.as_json(), ensure_ascii=False),
        },
    )


def append_files(content, files):
    """Appends a zip of texts; the same texts always give the same bytes."""
    buffer = io.BytesIO(content)
    buffer.seek(0, io.SEEK_END)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), _valid(text))
    return buffer.getvalue()


def _valid(text):
    """A text as UTF-8. What Python reads of other bytes, in names of files and in arguments, are lone surrogates."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def model_metadata(contract, card):
    """The standard's `ModelMetadata` as a flatbuffer."""
    b, picture, scores = flatbuffers.Builder(1024), contract.input, contract.output.scores

    def text(string):
        return b.CreateString(_valid(string))

    labels = _table(b, 5, {0: text("labels.txt"), 1: text("class names, in the order of the output")}, {2: AXIS_LABELS})
    size = _table(b, 2, {}, {}, {0: picture.width, 1: picture.height})
    properties = _table(b, 2, {1: size}, {0: RGB if picture.channels == 3 else GRAYSCALE})
    content = _table(b, 3, {1: properties}, {0: IMAGE_PROPERTIES})
    mean, std = (value if isinstance(value, tuple) else (value,) for value in (picture.mean, picture.std))
    channels = max(len(mean), len(std))
    scale = _table(b, 2, {slot: _floats(b, v * channels if len(v) == 1 else v) for slot, v in enumerate((mean, std))})
    ends = [picture.scaled(np.full((1, 1, picture.channels), end, np.uint8)).ravel()[:channels] for end in (0, 255)]
    ends = np.sort(ends, 0)
    unit = _table(b, 2, {1: scale}, {0: NORMALIZATION})
    image = _table(
        b,
        7,
        {
            0: text("image"),
            1: text(f"{picture.height}x{picture.width} pixels; {_formula(picture)}"),
            3: content,
            4: _offsets(b, [unit]),
            5: _table(b, 2, {0: _floats(b, ends[1]), 1: _floats(b, ends[0])}),
        },
    )
    activation = "sigmoid" if contract.output.KIND == "labels" else "softmax"
    about = "one for each class" + (f"; {activation} gives probabilities" if scores == "logits" else "")
    answer = _table(b, 7, {0: text(scores), 1: text(about), 6: _offsets(b, [labels])})
    graph = _table(b, 10, {2: _offsets(b, [image]), 3: _offsets(b, [answer])})
    names = {0: card.name, 1: card.description, 2: card.version, 4: card.author, 5: card.license, 7: "1.0.0"}
    root = _table(b, 8, {slot: text(value) for slot, value in names.items() if value} | {3: _offsets(b, [graph])})
    b.Finish(root, file_identifier=b"M001")
    return bytes(b.Output())


def _formula(picture):
    if picture.mean == picture.std == 128.0:
        return "x = pixel / 128 - 1"
    return f"x = (pixel - {picture.mean}) / {picture.std}"


def _table(b, slots, offsets, bytes_=None, integers=None):
    """Writes a flatbuffer table: slot -> offset of a string, vector or table; -> byte; -> unsigned integer."""
    b.StartObject(slots)
    for slot, offset in offsets.items():
        b.PrependUOffsetTRelativeSlot(slot, offset, 0)
    for slot, number in (integers or {}).items():
        b.PrependUint32Slot(slot, number, 0)
    for slot, number in (bytes_ or {}).items():
        b.PrependUint8Slot(slot, number, 0)
    return b.EndObject()


def _offsets(b, items):
    b.StartVector(4, len(items), 4)
    for item in reversed(items):
        b.PrependUOffsetTRelative(item)
    return b.EndVector()


def _floats(b, numbers):
    b.StartVector(4, len(numbers), 4)
    for number in reversed(numbers):
        b.PrependFloat32(number)
    return b.EndVector()
