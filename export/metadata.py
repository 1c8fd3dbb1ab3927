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

from . import detector_metadata, segmenter_metadata
from .flatbuffer import floats, offsets, root_bytes, table, text, valid

NAME = b"TFLITE_METADATA"
IMAGE_PROPERTIES, NORMALIZATION, AXIS_LABELS = 2, 1, 2  # numbers of the schema's unions and enumerations
RGB, GRAYSCALE = 1, 2
CLIENTS = {"boxes": detector_metadata, "mask": segmenter_metadata}  # outputs that MediaPipe wants to know more of


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
        contract: `Contract`.
        card: `Card`.

    Returns:
        The bytes of a file that every TFLite runtime reads as before.
    """
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(model_metadata(contract, card, *_names(model)), np.uint8)
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
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), valid(content))
    return buffer.getvalue()


def _names(model):
    """Names of a file's inputs and outputs by its signature, in the order in which clients count them; else none."""
    graph, found = model.subgraphs[0], []
    for side in ("inputs", "outputs"):
        named = {one.tensorIndex: one.name.decode() for s in model.signatureDefs or () for one in getattr(s, side)}
        found.append([named[i] for i in getattr(graph, side) if i in named])
    return found


def model_metadata(contract, card, inputs=(), names=()):
    """The standard's `ModelMetadata` as a flatbuffer; inputs and outputs by name where there are several."""
    b = flatbuffers.Builder(1024)
    labels = table(
        b, 5, {0: text(b, "labels.txt"), 1: text(b, "class names, in the order of the output")}, {2: AXIS_LABELS}
    )
    several = contract.input.KIND == "several"
    parts = [contract.input.parts[name] for name in inputs] if several else [contract.input]
    made_of = {"picture": _picture, "sound": _sound, "text": _words, "row": _row}
    given = [made_of[part.KIND](b, part) for part in parts]
    if special := CLIENTS.get(contract.output.KIND):
        made, custom = special.tensors(b, contract, labels), [special.custom(b, contract)]
        made = [made[name] for name in names] if len(made) > 1 and names else list(made.values())
    else:
        made, custom = [_scores(b, contract.output, labels)], []
    slots = {2: offsets(b, given), 3: offsets(b, made)}
    graph = table(b, 10, slots | ({9: offsets(b, custom)} if custom else {}))
    names = {0: card.name, 1: card.description, 2: card.version, 4: card.author, 5: card.license, 7: "1.0.0"}
    root = table(b, 8, {slot: text(b, value) for slot, value in names.items() if value} | {3: offsets(b, [graph])})
    return root_bytes(b, root, b"M001")


def _sound(b, sound):
    """The metadata of log-mel pictures, of which the standard knows nothing; `contract.json` says how they are made."""
    moments, bands, _ = sound.shape
    about = f"log-mel picture of {sound.seconds} s at {sound.rate} Hz: {moments} moments, {bands} bands"
    return table(b, 7, {0: text(b, "sound"), 1: text(b, f"{about}; x = q / 128 - 1, see contract.json")})


def _words(b, given):
    """The metadata of a text's numbers; of their rules the standard knows little, `contract.json` all."""
    about = f"numbers of {given.length} tokens, of a vocabulary of {len(given.vocabulary)}; see contract.json"
    return table(b, 7, {0: text(b, "ids"), 1: text(b, about)})


def _row(b, given):
    """The metadata of a row's bytes; `contract.json` says how they are made."""
    about = f"{given.size} bytes of {len(given.columns)} columns; x = q / 128 - 1, see contract.json"
    return table(b, 7, {0: text(b, "row"), 1: text(b, about)})


def _picture(b, picture):
    """The metadata of pictures."""
    size = table(b, 2, {}, {}, {0: picture.width, 1: picture.height})
    properties = table(b, 2, {1: size}, {0: RGB if picture.channels == 3 else GRAYSCALE})
    content = table(b, 3, {1: properties}, {0: IMAGE_PROPERTIES})
    mean, std = (value if isinstance(value, tuple) else (value,) for value in (picture.mean, picture.std))
    channels = max(len(mean), len(std))
    scale = table(b, 2, {slot: floats(b, v * channels if len(v) == 1 else v) for slot, v in enumerate((mean, std))})
    ends = [picture.scaled(np.full((1, 1, picture.channels), end, np.uint8)).ravel()[:channels] for end in (0, 255)]
    ends = np.sort(ends, 0)
    unit = table(b, 2, {1: scale}, {0: NORMALIZATION})
    return table(
        b,
        7,
        {
            0: text(b, "image"),
            1: text(b, f"{picture.height}x{picture.width} pixels; {_formula(picture)}"),
            3: content,
            4: offsets(b, [unit]),
            5: table(b, 2, {0: floats(b, ends[1]), 1: floats(b, ends[0])}),
        },
    )


def _scores(b, output, labels):
    """The metadata of a tensor of scores, one for each class."""
    activation = "sigmoid" if output.KIND == "labels" else "softmax"
    about = "one for each class" + (f"; {activation} gives probabilities" if output.scores == "logits" else "")
    slots = {0: text(b, output.scores), 1: text(b, about), 6: offsets(b, [labels])}
    return table(b, 7, slots)


def _formula(picture):
    if picture.mean == picture.std == 128.0:
        return "x = pixel / 128 - 1"
    return f"x = (pixel - {picture.mean}) / {picture.std}"
