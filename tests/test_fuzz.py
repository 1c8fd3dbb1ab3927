"""Mutated files: every loader answers, or says in an exception that it states why not; quickly, and writing nothing.

`FUZZ_SECONDS=15000 FUZZ_SEED=1 python -m pytest --timeout=0 -m slow tests/test_fuzz.py` looks ten minutes in each, and
elsewhere. What fails names the number of its input, which `mutated` makes again; each that was found is a test of its
loader's.
"""

import io
import json
import os
import pathlib
import pickle
import resource
import struct
import subprocess
import sys
import time
import zipfile

import keras
import numpy as np
import pytest
from PIL import Image

from keras_resnet import files, history, layouts, origins, runs
from keras_resnet.data import boxes, coco_json, columns, label_maps, labels_csv, tables, voc, yolo_txt
from keras_resnet.device import archives, metadata, sound_files, verify
from keras_resnet.device.boxes import Boxes
from keras_resnet.device.classes import Classes
from keras_resnet.device.contract import Contract
from keras_resnet.device.labels import Labels
from keras_resnet.device.mask import Mask
from keras_resnet.device.picture import Picture
from keras_resnet.device.row import Category, Number, Row
from keras_resnet.device.several import Several
from keras_resnet.device.sound import Sound
from keras_resnet.device.text import Text
from keras_resnet.quantization.saved import load_model
from keras_resnet.training import checkpoints

ROOT = pathlib.Path(__file__).parents[1]
WRITTEN = ROOT / "tests" / "files" / "version1"
SEED = int(os.environ.get("FUZZ_SEED", "0"))
SECONDS = float(os.environ.get("FUZZ_SECONDS", "30"))  # of all loaders together
SLOWEST = 5  # seconds of all cores that an input may take
MEMORY = 1 << 20  # kilobytes that all inputs of a loader may add
STATED = (ValueError, OSError)  # what a program says as one sentence
DEEP = "[" * 5000 + "]" * 5000
ODD = (None, True, False, 0, -1, 2**31, 2**70, 1e308, -0.5, float("nan"), float("inf"), "", "\ud800", "x" * 5000)
ODD += ([], {}, [[]], "0", "picture", ["a"], {"kind": "several"})
RESNET18 = ["conv1.weight", "fc.weight", *(f"layer{i}.{j}.conv1.weight" for i in range(1, 5) for j in range(2))]
WORDS = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF)


def contract(folder):
    """Contracts of every kind of input and output."""
    several = Several({"a": Picture(4, 4, 1), "b": Text(("x", "y"), 3)}, ("b",))
    row = Row((Number("n", 1.0, 2.0), Category("c", ("x", "y"))))
    sound, text = Sound(8000, 0.1, 64, 32, 8, 60.0, 3000.0), Text(("x", "y"), 5, 7, 9)
    classes, labels = Classes(("a", "b")), Labels(("a", "b"), thresholds=(0.5, 0.25))
    found = Boxes(("a",), ((4, 4, 8), (2, 2, 16))), Mask(("a", "b"), (4, 4))
    pairs = [(kind, classes) for kind in (several, row, sound, text)]
    pairs += [(Picture(32, 32, 3), kind) for kind in (labels, *found)]
    seeds = [json.dumps(Contract(*pair).as_json()).encode() for pair in pairs]

    def load(path):
        read = Contract.load(path)
        json.dumps([read.as_json(), read.shape, read.output.shapes])

    return folder / "contract.json", [*seeds, (WRITTEN / "contract.json").read_bytes()], load


def zip_of_a_tflite(folder):
    """What is inside a `.tflite` besides the network."""
    whole = (WRITTEN / "export" / "resnet8-int8-qat.tflite").read_bytes()
    start = whole.index(b"PK\3\4")

    def load(path):
        metadata.read_contract(path, metadata.saved_contract(path), (32, 32, 3), [(10,)])

    return folder / "model.tflite", [whole, whole[:start], whole[start:]], load


def checkpoint(folder):
    """The checkpoint of a small network."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("adam")
    model.optimizer.build(model.trainable_variables)
    path = folder / "latest.npz"
    progress = checkpoints.Progress(3, [{"epoch": 1, "loss": 0.5}], {"steps": 1}, 2.5)
    checkpoints.save(path, model, model.optimizer, progress)
    return path, [path.read_bytes()], lambda path: checkpoints.restore(path, model, model.optimizer)


def keras_file(folder):
    """A saved model, float or quantized; its names are those of origins, too."""
    seeds = [(WRITTEN / part / "model.keras").read_bytes() for part in ("", "qat")]

    def load(path):
        origins.described(str(path))
        load_model(path)

    return folder / "model.keras", seeds, load


def torch_file(folder):
    """Names of a state dict, of PyTorch's zip and of safetensors."""
    with zipfile.ZipFile(folder / "made", "w") as archive:
        archive.writestr("made/data.pkl", pickle.dumps(dict.fromkeys(RESNET18, 0)))
    zipped = (folder / "made").read_bytes()
    (folder / "made").unlink()
    return folder / "weights.pt", [zipped], lambda path: origins.described(f"torch:{path}")


def safetensors_file(folder):
    """Names of a state dict in safetensors."""
    text = json.dumps({key: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for key in RESNET18}).encode()
    seed = struct.pack("<Q", len(text)) + text + bytes(4)
    return folder / "weights.safetensors", [seed], lambda path: origins.described(f"torch:{path}")


def arrays(folder):
    """Arrays of NumPy's, as of golden examples."""
    file = io.BytesIO()
    np.savez(file, inputs=np.zeros((2, 3), np.int8), outputs=np.ones((2, 2), np.int8), text=np.array("ä"))
    return folder / "a.npz", [file.getvalue()], archives.load_arrays


def golden(folder):
    """Golden examples as JSON. Whoever loads them takes every exception for a sentence."""
    saved = json.loads((ROOT / "keras_resnet" / "models" / "fsdd-resnet8" / "model.golden.json").read_text())
    saved["sounds"] = saved["sounds"][:1]

    def load(path):
        try:
            verify.load_golden(folder / "model.tflite")
        except Exception as error:
            raise ValueError(error) from error

    return folder / "model.golden.json", [json.dumps(saved).encode()], load


def recipe(folder):
    """A run's recipe."""
    seed = (ROOT / "keras_resnet" / "models" / "digits-resnet8" / "recipe.json").read_bytes()
    return folder / "recipe.json", [seed], lambda path: runs.load_recipe(runs.Run(path.parent))


def history_file(folder):
    """A run's history."""
    seed = (WRITTEN / "history.csv").read_bytes()
    return folder / "history.csv", [seed], history.read_history


def report(folder):
    """A run's report."""
    return folder / "report.json", [b'{"test": {"accuracy": 0.5}}'], files.read_json


def recording(folder):
    """A WAV file."""
    sound = Sound(8000, 0.1, 64, 32, 8, 60.0, 3000.0)
    return folder / "a.wav", [sound_files.wav(np.zeros(300), 8000)], lambda path: sound.read(path, path)


def row(folder):
    """A CSV file of rows, by a contract."""
    kind = Row((Number("n", 1.0, 2.0), Category("c", ("x", "y"))))
    return folder / "a.csv", [b"n,c\n1.5,x\n", b'"n";c\r\n"2e3";"y"\r\n'], lambda path: kind.read(path, path)


def text(folder):
    """A text file, by a contract."""
    kind = Text(("the", "é"), 5, 7, 9)
    return folder / "a.txt", ["The café isn’t 東京, \u0130!".encode()], lambda path: kind.read(path, path)


def picture(folder):
    """A picture file, by a contract."""
    seeds = []
    for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"):
        file = io.BytesIO()
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(np.arange(300, dtype=np.uint8).reshape(10, 10, 3)).save(file, kind, exif=exif)
        seeds.append(file.getvalue())
    return folder / "a.png", seeds, lambda path: Picture(8, 8, 3).read_sized(path, path)


def labels(folder):
    """`labels.csv` of a folder of pictures."""
    Image.new("L", (4, 4)).save(folder / "a.png")
    seeds = [b"picture,labels,split\na.png,x;y,train\n", b"picture;x;y\na.png;0;1\n"]
    return folder / "labels.csv", seeds, lambda path: labels_csv.read(path.parent)


def rows(folder):
    """A table with a class for each row."""
    seeds = ["n,c,label\n" + "".join(f"{i},x{i % 3},{'ab'[i % 2]}\n" for i in range(12))]

    def load(path):
        if not layouts.rows(path.parent):
            raise ValueError("no table of rows")
        names, _, found = columns.read(path.parent)
        for i, name in enumerate(names):
            columns.column(path.parent, name, [line.cells[i] for _, line in found["train"]])

    return folder / "train.csv", [seed.encode() for seed in seeds], load


def sentences(folder):
    """A table of texts."""
    seeds = ["label,text\n" + "".join(f'{"ab"[i % 2]},"so, {i}"\n' for i in range(12)), "a;so, 1\nb;no\n"]
    return folder / "train.csv", [seed.encode() for seed in seeds], tables.rows


def boxed(reader, place, seed):
    """A folder with boxes: what is mutated is the file at `place`."""

    def made(folder):
        for path in ("JPEGImages/a.png", "train/a.png", "images/train/a.png"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (40, 30)).save(folder / path)
        for path, content in ANNOTATIONS.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(content)

        def load(path):
            names, splits = reader.read(folder)
            boxes.settle_splits(splits, names)

        return folder / place, [seed.encode()], load

    made.__name__ = f"{reader.__name__.rpartition('.')[2]} {place}"
    return made


VOC = (
    "<annotation><size><width>40</width><height>30</height></size><object><name>a</name><difficult>0</difficult>"
    "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8.5</ymax></bndbox></object></annotation>"
)
COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
    "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 8, 6.5], "iscrowd": 0}],
    "categories": [{"id": 1, "name": "a", "supercategory": "b"}],
}
ANNOTATIONS = {
    "Annotations/a.xml": VOC,
    "ImageSets/Main/train.txt": "a\n",
    "train/_annotations.coco.json": json.dumps(COCO),
    "data.yaml": "train: images/train\nnames: [a, b]\n",
    "labels/train/a.txt": "0 0.5 0.5 0.25 0.25\n1 0.1 0.1 0.2 0.1 0.2 0.2\n",
}
BOXED = [
    boxed(voc, "Annotations/a.xml", VOC),
    boxed(voc, "ImageSets/Main/train.txt", "a 1\n"),
    boxed(coco_json, "train/_annotations.coco.json", json.dumps(COCO)),
    boxed(yolo_txt, "data.yaml", ANNOTATIONS["data.yaml"] + "path: .\n"),
    boxed(yolo_txt, "labels/train/a.txt", ANNOTATIONS["labels/train/a.txt"]),
]


def names(folder):
    """The names of label maps' numbers, as JSON."""
    return folder / "classes.json", [b'["a", "void", "c"]'], lambda path: label_maps.read_names(path.parent)


def label_map(folder):
    """A label map."""
    shown, file = folder / "shown.png", io.BytesIO()
    Image.new("L", (9, 7)).save(shown)
    Image.fromarray(np.arange(63, dtype=np.uint8).reshape(7, 9) % 2).save(file, "PNG")
    table = label_maps.numbers(["a", "b"])
    return folder / "a.png", [file.getvalue()], lambda path: label_maps.read(shown, path, table)


LOADERS = [contract, zip_of_a_tflite, checkpoint, keras_file, torch_file, safetensors_file, arrays, golden, recipe]
LOADERS += [history_file, report, recording, row, text, picture, labels, rows, sentences, *BOXED, names, label_map]


def mutated(seeds, turn):
    """The bytes of the mutant number `turn`."""
    rng = np.random.default_rng([SEED, turn])
    content = seeds[rng.integers(len(seeds))]
    if content[:2] == b"PK" and rng.random() < 0.8:
        return _zip(content, rng)
    return _part(content, rng)


def _zip(content, rng):
    """An archive with one file mutated; sometimes another name, twice the same, or packed."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = [(name, archive.read(name)) for name in archive.namelist()]
    at, file = rng.integers(len(parts)), io.BytesIO()
    parts[at] = parts[at][0], _part(parts[at][1], rng)
    if rng.random() < 0.1:
        parts[at] = (parts[at][0], "x", "../../x", "/x", "assets/x")[rng.integers(5)], parts[at][1]
    if rng.random() < 0.1:
        del parts[rng.integers(len(parts))]
    with zipfile.ZipFile(file, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
        for name, inside in parts:
            archive.writestr(name, inside)
    return file.getvalue()


def _part(content, rng):
    """JSON with another value somewhere, or any bytes otherwise."""
    if content[:1] in (b"{", b"[") and rng.random() < 0.7:
        return _json(json.loads(content), rng)
    content = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        at, kind = int(rng.integers(len(content) + 1)), rng.integers(8)
        if rng.random() < 0.5:
            at = min(at, int(rng.integers(200)))  # heads say what follows
        length = int(rng.integers(1, 2 ** rng.integers(1, 10)))
        if kind == 0:
            del content[at:]
        elif kind == 1:
            del content[at : at + length]
        elif kind == 2:
            content[at:at] = rng.bytes(length)
        elif kind == 3:
            content[at:at] = content[max(0, at - length) : at]
        elif kind == 4:
            content[at : at + 4] = struct.pack("<I", WORDS[rng.integers(len(WORDS))])
        elif kind == 5:
            content[at:at] = rng.choice([b"\xff", b"\0", b'"', b"\n", b"9" * 400, b"1e999", b",", DEEP.encode()])
        elif at < len(content):
            content[at] = rng.integers(256) if kind == 6 else content[at] ^ 1 << rng.integers(8)
    return bytes(content)


def _json(value, rng):
    """JSON's text, one of whose values, names or lengths is another."""
    keys = ((one, one if isinstance(one, dict) else range(len(one))) for one in _holders(value))
    places = [(holder, key) for holder, known in keys for key in known]
    holder, key = places[rng.integers(len(places))]
    kind = rng.integers(6)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[str(ODD[rng.integers(len(ODD))])] = holder.pop(key)
    elif kind == 2 and isinstance(holder, list):
        holder *= int(rng.integers(2, 50))
    elif kind == 3:
        other, there = places[rng.integers(len(places))]
        if there in other if isinstance(other, dict) else there < len(other):
            holder[key] = json.loads(json.dumps(other[there]))
    elif isinstance(holder[key], int | float) and kind == 4:
        holder[key] = holder[key] * float(rng.choice([-1, 0.5, 2, 1000, 1e9]))
    else:
        holder[key] = ODD[rng.integers(len(ODD))]
    text = json.dumps(value)
    return (text.replace('""', DEEP, 1) if rng.random() < 0.1 else text).encode()


def _holders(value):
    """Objects and lists in a value of JSON, itself among them, that hold something."""
    if isinstance(value, dict | list) and value:
        yield value
        for one in value.values() if isinstance(value, dict) else value:
            yield from _holders(one)


def fuzz(made, folder, seconds):
    """Gives a loader mutants for some seconds; returns how many were read and how many refused."""
    folder.mkdir()
    path, seeds, load = made(folder)
    for seed in seeds:
        path.write_bytes(seed)
        load(path)  # the real ones are read
    there, memory = {*folder.rglob("*")}, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts, end = [0, 0], time.monotonic() + seconds
    for turn in range(1 << 62):
        path.write_bytes(mutated(seeds, turn))
        if time.monotonic() > end:
            break
        began, refused = time.process_time(), False
        try:
            load(path)
        except STATED as error:
            refused = True
            assert str(error).strip(), f"input {turn}: {type(error).__name__} says nothing"
        except Exception as error:
            raise AssertionError(f"input {turn} ({path}): {type(error).__name__}: {str(error)[:300]}") from error
        counts[refused] += 1
        assert time.process_time() - began < SLOWEST, f"input {turn} ({path}) took more than {SLOWEST} s"
    assert {*folder.rglob("*")} <= there and {*folder.parent.iterdir()} == {folder}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < MEMORY
    return counts


@pytest.mark.parametrize("made", LOADERS, ids=lambda made: made.__name__)
def test_mutants_are_read_or_refused(made, tmp_path):
    read, refused = fuzz(made, tmp_path / "files", 0.1)
    assert read + refused > 0


@pytest.mark.slow
@pytest.mark.parametrize("made", LOADERS, ids=lambda made: made.__name__)
def test_many_mutants_are_read_or_refused(made, tmp_path):
    read, refused = fuzz(made, tmp_path / "files", SECONDS / len(LOADERS))
    print(f"{made.__name__}: {read:,} read, {refused:,} refused")
    assert read + refused > 0


@pytest.mark.slow
def test_damaged_graphs_are_run_or_refused(tmp_path):
    """Rarely LiteRT itself ends the process, in about one of a thousand: it does not verify flatbuffers."""
    program, model = ROOT / "tests" / "damaged_graphs.py", WRITTEN / "export" / "resnet8-int8-qat.tflite"
    turn, died, end = 0, 0, time.monotonic() + max(5, SECONDS / len(LOADERS))
    while (left := end - time.monotonic()) > 0:
        command = [sys.executable, program, model, tmp_path, SEED, turn, left]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, env=environment, timeout=left + 60)
        assert done.returncode <= 0, f"input {done.stdout.split()[-1:]}: {done.stderr[-2000:]}"
        died += done.returncode < 0
        turn = int((done.stdout.split() or [turn])[-1]) + 1
    print(f"graphs: {turn:,}, of which LiteRT died of {died:,}")
    assert turn > 10 and died <= 2 + turn / 100
