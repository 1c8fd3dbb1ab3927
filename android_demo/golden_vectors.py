"""Writes what core's JUnit tests compare with: pictures prepared by Pillow, numbers computed by NumPy.

    python android_demo/golden_vectors.py [FOLDER]

The sources of the pictures are noise that both sides compute, so that the files stay small.
"""

import base64
import hashlib
import json
import pathlib
import sys
import tempfile
import zipfile

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).parent
RESOURCES = HERE / "core" / "src" / "test" / "resources"
MODELS = HERE / "app" / "src" / "main" / "assets" / "models"
sys.path.insert(0, str(HERE.parent))
import golden_sounds  # noqa: E402
import golden_texts  # noqa: E402

from keras_resnet.device.boxes import Boxes  # noqa: E402
from keras_resnet.device.classes import Classes  # noqa: E402
from keras_resnet.device.contract import Contract  # noqa: E402
from keras_resnet.device.labels import Labels  # noqa: E402
from keras_resnet.device.mask import Mask  # noqa: E402
from keras_resnet.device.metadata import read_contract, read_labels, saved_contract, shown_normalization  # noqa: E402
from keras_resnet.device.picture import Picture  # noqa: E402
from keras_resnet.device.reader import Reader  # noqa: E402

ORIENTATION = 0x0112

# height x width of the source, its EXIF orientation; height x width x channels of the input, crop fraction.
PREPARATIONS = (
    *((90, 60, orientation, 24, 20, 3, 1.0) for orientation in range(10)),  # 0 and 9 mean nothing
    *((31, 77, orientation, 24, 20, 3, 0.875) for orientation in range(1, 9)),
    (32, 32, 1, 32, 32, 3, 1.0),  # nothing to do
    (32, 40, 1, 32, 32, 3, 1.0),  # cropped only
    (40, 32, 1, 32, 32, 3, 1.0),
    (33, 31, 1, 32, 32, 3, 1.0),
    (96, 32, 1, 32, 32, 3, 1.0),
    (480, 640, 1, 32, 32, 3, 1.0),
    (640, 480, 1, 32, 32, 3, 0.875),
    (640, 300, 1, 32, 32, 3, 1.0),  # by columns first
    (640, 300, 6, 32, 32, 3, 1.0),  # upright, it is wide: along rows first
    (300, 640, 6, 32, 32, 3, 1.0),  # by columns first
    (300, 640, 1, 32, 32, 3, 1.0),
    (96, 48, 1, 32, 32, 3, 1.0),  # 96 - 64 > 2 * (48 - 32) is false, the rule's edge: along rows first
    (98, 48, 1, 32, 32, 3, 1.0),  # 98 - 65 is more: by columns first
    (8, 8, 1, 32, 32, 3, 1.0),
    (5, 7, 1, 32, 24, 3, 0.7),
    (1, 1, 1, 8, 8, 3, 1.0),
    (1, 50, 1, 8, 8, 3, 1.0),
    (50, 1, 1, 8, 8, 3, 1.0),
    (2, 128, 1, 8, 8, 3, 1.0),  # as long as is taken, and a pixel longer
    (2, 129, 1, 8, 8, 3, 1.0),
    (128, 2, 6, 8, 8, 3, 1.0),
    (129, 2, 6, 8, 8, 3, 1.0),
    (128, 3, 1, 16, 24, 3, 0.9),  # 18 and 27: 64 times
    (129, 3, 1, 16, 24, 3, 0.9),
    (2_000_000, 1, 1, 224, 224, 3, 0.875),
    (97, 61, 1, 25, 31, 3, 0.9),  # 25 / 0.9 and 31 / 0.9 are rounded
    (97, 61, 1, 21, 35, 3, 1 / 1.5),  # 31.5 and 52.5: halves go to the even number
    (97, 61, 1, 35, 21, 3, 1 / 1.5),
    (61, 97, 1, 28, 28, 1, 1.0),  # gray
    (97, 41, 7, 28, 28, 1, 0.875),
    (200, 41, 1, 28, 28, 1, 1.0),
    (1080, 1920, 1, 224, 224, 3, 0.875),
    (2000, 900, 1, 224, 224, 3, 0.875),
    *((height, width, 1, 24, 20, 3, 1.0, "stretch") for height, width in ((24, 20), (90, 60), (31, 177), (300, 20))),
    (90, 61, 6, 24, 20, 1, 0.8, "stretch"),
    (2, 129, 1, 8, 8, 3, 1.0, "stretch"),
)

# type, scale and zero point of the input; mean and standard deviation of the contract.
QUANTIZATIONS = (
    ("uint8", 1 / 128, 128, 128.0, 128.0),
    ("int8", 1 / 128, 0, 128.0, 128.0),
    ("float32", 0.0, 0, 128.0, 128.0),
    ("float32", 0.0, 0, 127.5, 127.5),
    ("uint8", 0.007843137718737125, 127, 127.5, 127.5),
    ("uint8", 1 / 128, 128, 127.5, 127.5),
    ("int8", 0.018658448, -14, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    ("uint8", 0.03, 100, 0.0, 32.0),  # many values are clipped
    ("int8", 0.015625, 3, 0.0, 64.0),  # quotients are whole
    ("uint8", 0.03125, 7, 0.0, 64.0),  # half of the quotients end with .5
)

# type, scale and zero point of the output, its numbers, what they are; of independent labels their thresholds, too.
OUTPUTS = (
    ("uint8", 0.1731, 115, (0, 100, 115, 200, 255), "logits"),
    ("int8", 0.0921, -7, (-128, -7, 0, 90, 127), "logits"),
    ("float32", 0.0, 0, (-3.25, 0.1, 87.5, 88.0, 1e-8), "logits"),
    ("float32", 0.0, 0, (-1000.0, 1000.0, 999.5), "logits"),
    ("uint8", 1 / 256, 0, (3, 250, 3), "probabilities"),
    ("uint8", 0.1731, 115, (0, 114, 115, 116, 255), "logits", ()),  # a half counts
    ("int8", 0.0921, -7, (-128, -7, 0, -8, 127, -7), "logits", ()),
    ("int8", 0.0921, -7, (-128, -7, 0, 90, 127), "logits", (1e-6, 0.5000000000000001, 0.5, 0.9999, 1 - 1e-6)),
    ("float32", 0.0, 0, (-3.25, 0.1, 0.0, -0.0, 1e-8, 37.0), "logits", ()),
    ("float32", 0.0, 0, (-3.25, 1e-8, 87.5, -1e3), "logits", (0.037, 0.500000001, 1 - 2**-53, 5e-324)),
    ("float32", 0.0, 0, (-1000.0, 1000.0, float("inf"), -float("inf"), 999.5), "logits", (1e-300,) * 5),
    ("uint8", 1 / 256, 0, (0, 64, 64, 64, 255), "probabilities", (1e-300, 0.25, 0.25000000000000006, 0.2, 0.999)),
    ("int8", 1 / 256, -128, (-128, -1, 0, 1, 127), "probabilities", ()),
    # As float32, 0.1 is more than as float64, and 0.7 less.
    ("float32", 0.0, 0, (0.1, 0.1, 0.7, 1.0), "probabilities", (0.1, 0.10000000149011613, 0.7, 0.99)),
)


# type, scale and zero point of the input of a file that says nothing of its scale.
SHOWN = (
    ("int8", 1.0, -128),
    ("uint8", 1.0, 0),
    ("int8", 1 / 128, 0),
    ("uint8", 0.007843137718737125, 127),
    ("int8", 0.00392156862745098, -128),
    ("int8", 0.018658448, -14),
    ("float32", 0.0, 0),
)

# What stands in a foreign file of labels.
LABELS = ("", "\n", "a", "a\nb\n", "a\r\nb\r\n", "\ufeffa\nb", "a\n\nb\n\n", "a\x85b\u2028c\x0bd\n", "ä\n 日本 \n")

# What is said otherwise than by a right contract of a picture 32 x 32 x 3 and ten classes, in either version.
CONTRACTS = (
    *({}, {"height": 32.0}, {"height": 31}, {"height": 32.5}, {"width": "32"}, {"channels": None}, {"unknown": [{}]}),
    *({"height": True}, {"width": [32]}, {"height": 10**400}, {"channels": 2}, {"channels": 1}),
    *({"labels": list("abcdefghi")}, {"labels": [*"abcdefghi", 1]}, {"labels": [*"abcdefghij", 1]}),
    *({"labels": "abcdefghij"}, {"labels": None}, {"labels": ["", "\u0000", "ä\n", *"defghij"]}),
    *({"mean": 1}, {"mean": [1, 2.5, -3e1]}, {"mean": [4]}, {"mean": [1, 2]}, {"mean": []}, {"mean": "1"}),
    *({"mean": None}, {"mean": [1, None, 3]}, {"mean": [[1]]}, {"std": 0}, {"std": [1, 0, 1]}, {"std": -2.5}),
    *({"mean": True}, {"mean": [1, True, 3]}, {"mean": [1, "2", 3]}, {"mean": {}}, {"mean": 2**70}, {"mean": 1e39}),
    *({"std": 1e-50}, {"std": 10**400}, {"std": [2, 2, 2]}),
    *({"crop_fraction": 1}, {"crop_fraction": 0.875}, {"crop_fraction": 0}, {"crop_fraction": 1.25}),
    *({"crop_fraction": "1"}, {"crop_fraction": None}, {"crop_fraction": 0.0078125}, {"crop_fraction": 0.0078}),
    *({"crop_fraction": True}, {"crop_fraction": [1]}, {"crop_fraction": 1e-300}),
    *({"output": "logits"}, {"output": "probabilities"}, {"output": "scores"}, {"output": None}),
    *({"output": ["logits"]}, {"thresholds": "of labels alone"}),
    *({"resize": resize} for resize in ("cover", "stretch", "fit", None, ["stretch"], True)),
)
# What is said otherwise than by a right output of ten independent labels.
HALVES = [0.5] * 10
INDEPENDENT = (
    *({}, {"scores": "logits"}, {"scores": "probabilities"}, {"scores": "?"}, {"labels": list("abcdefghi")}),
    *({"labels": None}, {"labels": None, "thresholds": HALVES}, {"labels": [*"abcdefghi", 1], "thresholds": HALVES}),
    *({"thresholds": HALVES[:count]} for count in (0, 1, 9, 10)),
    *({"thresholds": [*HALVES, 0.5]}, {"thresholds": HALVES[1:], "labels": list("abcdefghi")}),
    {"thresholds": [5e-324, 1e-300, 0.1, 1 / 3, 0.25, 0.5, 2 / 3, 0.9, 0.97, 1 - 2**-53]},
    *({"thresholds": [*HALVES[1:], odd]} for odd in (0, 1, 0.0, 1.0, -0.0, -0.5, 1.5, 2, 10**400, 1e300)),
    *({"thresholds": [*HALVES[1:], odd]} for odd in ("0.5", None, True, False, [0.5], [], {}, "")),
    *({"thresholds": odd} for odd in (None, 0.5, 0, 1, True, False, "", "0.5", "abcdefghij", {}, {"a": 0.5})),
    *({"thresholds": dict.fromkeys("abcdefghij", 0.5)}, {"thresholds": [HALVES]}, {"threshold": 1}),
)
FIRST = {"height": 32, "width": 32, "channels": 3, "labels": list("abcdefghij")}
TENTHS = {"kind": "labels", "labels": FIRST["labels"], "thresholds": [0.1, *HALVES[1:]]}
TENTHS = json.dumps({"version": 2, "input": {"kind": "picture", **FIRST}, "output": TENTHS})
MISSING = object()

# The same where the versions differ, of a right contract of version 1 and then of version 2.
FIRST_ALONE = (
    *({"version": version} for version in (1, 1.0, True, 2, 0, "1", None)),
    *({key: MISSING} for key in FIRST),
    *({"kind": "sound"}, {"scores": "probabilities"}, {"input": {}}, {"kind": "labels", "thresholds": HALVES}),
)
SECOND_ALONE = (
    *({"version": version} for version in (2.0, MISSING, 1, 3, 4, 2.5, True, "2", None, [2], {})),
    *({part: wrong} for part in ("input", "output") for wrong in (MISSING, None, {}, [], "picture", "classes")),
    *({"input": FIRST | {"kind": kind}} for kind in ("smell", "classes", "Picture", None, ["picture"], 1)),
    *({"input": {"kind": "picture", **FIRST} | {key: MISSING}} for key in FIRST),
    *({"output": {"kind": kind, "labels": FIRST["labels"]}} for kind in ("boxes", "picture", None, True, "Labels")),
    *({"output": {"kind": "labels", "labels": FIRST["labels"], **changes}} for changes in INDEPENDENT),
    *({"output": {"kind": "classes"}}, {"output": {"kind": "classes", "scores": "logits"}}, {"scores": "?"}),
    {"output": {"kind": "classes", "labels": FIRST["labels"], "output": "probabilities"}},
)
# No objects, or no JSON.
TEXTS = (
    *("", "[]", "null", "2", '"contract"', "{", "[2]", "{} {}", '{"version": 2,}'),
    *('{"version": 02}', json.dumps(FIRST).replace("32", "032"), json.dumps(FIRST).replace("32", "32.")),
    *(TENTHS.replace("0.1", number) for number in ("0.1", ".1", "1e-400", "1e-1", "0.99999999999999999", "NaN")),
    *(json.dumps(FIRST).replace('"a"', label) for label in ('"\n"', '"\t"', '"\\n"', "'a'", '"\\x61"', '"\\u0061"')),
)


def noise(height, width):
    """uint8 (height, width, 3) that a few lines in any language can make, and no resize rounds kindly."""
    y, x, c = np.ogrid[:height, :width, :3]
    mixed = (x * 73_856_093) ^ (y * 19_349_663) ^ (c * 83_492_791)
    mixed = (mixed & 0xFFFFFFFF).astype(np.uint32)
    mixed = (mixed ^ (mixed >> 13)) * np.uint32(1_274_126_177)
    return (mixed >> 16).astype(np.uint8)


def preparation(height, width, orientation, to_height, to_width, channels, crop_fraction, resize="cover"):
    """What the reference reader makes of noise, or that it refuses it."""
    image = Image.fromarray(noise(height, width))
    image.getexif()[ORIENTATION] = orientation
    target = Picture(to_height, to_width, channels, crop_fraction, resize=resize)
    result = {"source": [height, width, orientation], "input": [to_height, to_width, channels]}
    result |= {"crop_fraction": crop_fraction} | ({} if resize == "cover" else {"resize": resize})
    try:
        pixels = target.pixels(image).tobytes()
    except ValueError:  # too long
        return result | {"refused": True}
    result |= {"sha256": hashlib.sha256(pixels).hexdigest()}
    if len(pixels) < 4096:  # small ones are kept, so that a failing test can show where
        result["pixels"] = encoded(pixels)
    return result


def quantization(kind, scale, zero, mean, std):
    """The input's bytes of the 256 pixel values, the same in all channels."""
    reader = reader_of(Picture(256, 1, 3, mean=mean, std=std), Classes(()))
    reader.input = {"dtype": np.dtype(kind).type, "quantization": (scale, zero)}
    pixels = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(256, 1, 3)
    content = encoded(reader.quantize(pixels).tobytes())
    return {"type": kind, "scale": scale, "zero": zero, "mean": mean, "std": std, "bytes": content}


def output(kind, scale, zero, numbers, what, thresholds=None):
    """Probabilities of an output, its labels from the likeliest on, and those that are there."""
    names = [str(i) for i in range(len(numbers))]
    rules = Classes(names, what) if thresholds is None else Labels(names, what, thresholds)
    reader = reader_of(Picture(1, 1, 1), rules)
    reader.outputs = [{"quantization": (scale, zero)}]
    values = np.array(numbers, kind)
    scores = reader.dequantize(values)
    answer = rules.answer(scores, len(names))
    found = {"type": kind, "scale": scale, "zero": zero, "bytes": encoded(values.tobytes()), "output": what}
    found |= {"expected": rules.probabilities(scores).tolist(), "top": [label for label, _ in answer.top]}
    return found | ({"there": []} if thresholds is None else {"there": answer.labels, "thresholds": thresholds})


def reader_of(*parts):
    """The reference reader without a file."""
    reader = Reader.__new__(Reader)
    reader.contract = Contract(*parts)
    return reader


def rgb_of(y, u, v):
    """Full-range BT.601 (JFIF) of numbers 0 to 255, in floating point; halves are rounded up."""
    y, u, v = (np.asarray(a, np.float64) for a in (y, u - 128.0, v - 128.0))
    rgb = np.stack([y + 1.402 * v, y - 0.344136 * u - 0.714136 * v, y + 1.772 * u], -1)
    # The formula's decimals end at the sixth: what is added makes a half a half in binary, too.
    return np.clip(np.floor(rgb + 0.5 + 1e-9), 0, 255).astype(np.uint8)


def every_colour():
    """SHA-256 of all 16,777,216 colours: 64 frames of 512 x 512 with all chromas, each with four new lumas."""
    digest = hashlib.sha256()
    y, x = np.mgrid[:512, :512]
    for frame in range(64):
        digest.update(rgb_of(4 * frame + 2 * (y % 2) + x % 2, x // 2, y // 2).tobytes())
    return digest.hexdigest()


def shown(kind, scale, zero):
    """What the reader takes where a file says nothing of its scale."""
    (mean, std), _ = shown_normalization({"dtype": np.dtype(kind).type, "quantization": (scale, zero)})
    return {"type": kind, "scale": scale, "zero": zero, "mean": mean, "std": std}


def contract_texts():
    """Every `contract.json` that is tried."""
    changed = [FIRST | changes for changes in (*CONTRACTS, *FIRST_ALONE)]
    changed += [second(FIRST | changes) for changes in CONTRACTS]
    changed += [second(FIRST) | changes for changes in SECOND_ALONE]
    return [json.dumps(without_missing(saved)) for saved in changed] + list(TEXTS)


def second(saved):
    """A contract of version 1 as one of version 2."""
    output = {"kind": "classes", "labels": saved["labels"]}
    output |= {"scores": saved["output"]} if "output" in saved else {}
    pixels = {key: value for key, value in saved.items() if key not in ("labels", "output")}
    return {"version": 2, "input": {"kind": "picture", **pixels}, "output": output}


def without_missing(saved):
    if not isinstance(saved, dict):
        return saved
    return {key: without_missing(value) for key, value in saved.items() if value is not MISSING}


def contract(text):
    """What the reader makes of a contract; null where it refuses it."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.tflite"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("contract.json", text)
        try:
            read = read_contract(path, saved_contract(path), (32, 32, 3), [(10,)])
        except ValueError:
            return {"text": text, "read": None}
    mean, std = (np.atleast_1d(value).tolist() for value in (read.input.mean, read.input.std))
    found = {"labels": read.labels, "crop_fraction": read.input.crop_fraction, "mean": mean, "std": std}
    found |= {"thresholds": read.output.thresholds} if isinstance(read.output, Labels) else {}
    return {"text": text, "read": found | {"scores": read.output.scores}}


def turned_frame(degrees, mirrored):
    """An odd-sized frame as planes and, turned clockwise and then as a mirror shows it, as RGB."""
    planes = noise(5, 7)
    luma, blue, red = planes[..., 0], planes[:3, :4, 1], planes[:3, :4, 2]
    chroma = [np.repeat(np.repeat(plane, 2, 0), 2, 1)[:5, :7] for plane in (blue, red)]
    rgb = np.rot90(rgb_of(luma, *chroma), -degrees // 90)
    rgb = rgb[:, ::-1] if mirrored else rgb
    size = {"degrees": degrees, "mirrored": mirrored, "width": 7, "height": 5}
    return size | {"rgb": encoded(np.ascontiguousarray(rgb).tobytes())}


PLACES = (  # the contract's picture and output, and sizes of pictures that it is answered on
    (
        Picture(48, 64, 3),
        Boxes(("a", "b", "c"), ((6, 8, 8), (3, 4, 16)), 0.4),
        ((48, 64), (96, 128), (50, 200), (300, 90)),
    ),
    (Picture(48, 64, 3, 0.8), Boxes(("a", "b"), ((6, 8, 8),), 0.3, 0.3, 5), ((48, 64), (77, 64))),
    (Picture(48, 64, 3, 0.8, resize="stretch"), Boxes(("a", "b"), ((6, 8, 8),), 0.3, 0.3, 5), ((48, 64), (300, 90))),
    (Picture(48, 64, 3, resize="stretch"), Mask(("a", "b"), (12, 16)), ((48, 64), (300, 90))),
    (Picture(48, 64, 3), Mask(("a", "b", "c"), (12, 16)), ((48, 64), (12, 16), (97, 131), (50, 200), (300, 90))),
    (Picture(20, 20, 1, 0.7), Mask(("a", "b"), (1, 3), ((1, 2, 3), (255, 0, 9))), ((20, 20), (33, 21), (1, 64))),
)


def places(picture, output, sizes):
    """What a network's numbers, of which many are equal, are on pictures of several sizes."""
    rng = np.random.default_rng(0)
    values = [np.round(rng.normal(0, 0.7, shape) * 16).astype(np.float32) / 16 for shape in output.shapes]
    contract, outputs = Contract(picture, output), values if len(values) > 1 else values[0]
    answers = []
    for size in sizes:
        shown = contract.answer(outputs, size)
        if isinstance(output, Boxes):
            found = zip(shown.labels, shown.probabilities, shown.boxes.tolist(), strict=True)
            rows = [[label, p, left, top, right, bottom] for label, p, (top, left, bottom, right) in found]
            # More digits would differ with the processor.
            rows = [[label, *(round(number, 4) for number in numbers)] for label, *numbers in rows]
        else:
            rows = [[label, round(part, 8)] for label, part in shown.parts]
        digest = hashlib.sha256(shown.mask.tobytes()).hexdigest() if isinstance(output, Mask) else ""
        answers.append({"height": size[0], "width": size[1], "rows": rows, "sha256": digest})
    saved = json.dumps(contract.as_json())
    return {"contract": saved, "bytes": encoded(b"".join(v.tobytes() for v in values)), "answers": answers}


def golden_probabilities(path):
    """Probabilities of a bundled model's golden outputs, one row a picture."""
    reader = Reader(path)
    golden = json.loads(path.with_suffix(".golden.json").read_text())
    outputs = [np.array(picture["output"], golden["output"]["dtype"]) for picture in golden["pictures"]]
    # 1e-6 is what is demanded; more digits would differ with the processor.
    found = [reader.contract.output.probabilities(reader.dequantize(values)) for values in outputs]
    return [[round(p, 8) for p in probabilities.tolist()] for probabilities in found]


def encoded(content):
    return base64.b64encode(content).decode()


def lines(value):
    """JSON with one line for each item."""
    if isinstance(value, dict):
        return "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in value.items()) + "\n}\n"
    return "[\n" + ",\n".join(map(json.dumps, value)) + "\n]\n"


def write(folder):
    folder.mkdir(parents=True, exist_ok=True)
    vectors = {
        "preparation": [preparation(*case) for case in PREPARATIONS],
        "quantization": [quantization(*case) for case in QUANTIZATIONS],
        "output": [output(*case) for case in OUTPUTS],
        "shown": [shown(*case) for case in SHOWN],
        "labels": [{"text": text, "labels": read_labels(text)} for text in LABELS],
        "contracts": [contract(text) for text in contract_texts()],
        "places": [places(*case) for case in PLACES],
        "sounds": list(golden_sounds.vectors()),
        "texts": list(golden_texts.vectors()),
        "yuv": {
            "every_colour": every_colour(),
            "frames": [turned_frame(degrees, mirrored) for mirrored in (False, True) for degrees in (0, 90, 180, 270)],
        },
        "models": {path.stem: golden_probabilities(path) for path in sorted(MODELS.glob("*.tflite"))},
    }
    for name, value in vectors.items():
        (folder / f"{name}.json").write_text(lines(value))


if __name__ == "__main__":
    write(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else RESOURCES)
