"""An export by its command, and its files read back by others than those who wrote them."""

import base64
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tracemalloc
import types
import zipfile

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers
from PIL import Image

from export import command_line, comparison, conversion, golden, metadata
from export.exporting import Export
from keras_resnet import files, recipes
from keras_resnet.data import decoding, loading
from keras_resnet.data.decoding import normalize
from keras_resnet.data.loading import load_dataset
from keras_resnet.device import metadata as inside
from keras_resnet.device.classes import Classes
from keras_resnet.device.contract import Contract
from keras_resnet.device.labels import Labels
from keras_resnet.device.picture import Picture
from keras_resnet.device.reader import Reader, ends_in_softmax
from keras_resnet.networks.weights import save_model
from keras_resnet.quantization import quantize_aware
from keras_resnet.quantization.saved import load_model
from keras_resnet.reports import evaluation
from keras_resnet.tasks.classification import Classification
from keras_resnet.training.trainer import train

ROOT = pathlib.Path(__file__).parents[2]
FORMATS = ("float32", "float16", "dynamic", "int8-ptq", "int8-qat", "int16x8")


def export(run_dir, *flags):
    command = [sys.executable, "-m", "export", str(run_dir), *flags]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=500)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A short float run, quantized and exported in every format."""
    path = tmp_path_factory.mktemp("export") / "run"
    recipe = recipes.Recipe(dataset="digits", depth=8, epochs=8, batch_size=32, augmentation="shift", warmup=0.1)
    train(recipe, path)
    result = export(path, "--qat_epochs=1", "--tolerance=3")
    assert result.returncode == 0, result.stderr
    assert conversion.NOISE not in result.stdout + result.stderr
    (path / "printed.txt").write_text(result.stdout)
    return path


@pytest.mark.slow
def test_wide_gray_pictures_end_to_end(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(24):
        path = tmp_path / "photos" / ("cat", "dog")[i % 2] / f"{i}{('.jpg', '.png', '.webp')[i % 3]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (60 + i, 90, 3), np.uint8)).save(path)
    recipe = recipes.Recipe(
        dataset=f"{tmp_path}/photos/",
        image_size="48x64",
        channels=1,
        crop_fraction=0.875,
        depth=8,
        epochs=1,
        batch_size=4,
        augmentation="crop,flip,cutout",
    )
    run_dir = tmp_path / "run"
    train(recipe, run_dir)
    evaluation.report(run_dir, "validation")
    (tmp_path / "photos").rename(tmp_path / "moved")
    result = export(run_dir, "--formats=float32,int8-ptq", "--calibration=8", f"--dataset={tmp_path}/moved/")
    assert result.returncode == 0, result.stderr
    data = load_dataset(f"{tmp_path}/moved/", image_size="48x64", channels=1, crop_fraction=0.875)
    pixels = np.concatenate([batch for batch, _ in data.test.batches(data.contract.input, 8)])
    logits = load_model(run_dir / "model.keras").predict(normalize(pixels), verbose=0)
    for name, error in (("float32", 1e-4), ("int8-ptq", 0.2 * np.abs(logits).max())):
        reader = Reader(file(run_dir, name))
        assert reader.contract.shape == (48, 64, 1)
        made = np.array([reader.dequantize(reader.run(picture)) for picture in pixels])
        np.testing.assert_allclose(made, logits, atol=error)
        # A wide picture as it lies on a disk, in colour, through all of the reader and through all of training.
        path = sorted((tmp_path / "moved" / "cat").iterdir())[0]
        prepared, *_ = reader.prepare(path)
        encoded = path.read_bytes()
        decoded = decoding.decode(data.contract.input, encoded, decoding.layout(encoded)).numpy()
        np.testing.assert_array_equal(prepared, reader.quantize(decoded))


def file(run_dir, name):
    return run_dir / "export" / f"resnet8-{name}.tflite"


def test_one_file_a_format_and_one_table(run_dir):
    printed = (run_dir / "printed.txt").read_text()
    report = files.read_json(run_dir / "export" / "comparison.json")
    assert [row["format"] for row in report["formats"]] == list(FORMATS)
    assert (*conversion.FORMATS, "int8-tfmot") == command_line.FORMATS
    for row in report["formats"]:
        assert row["bytes"] == file(run_dir, row["format"]).stat().st_size
        assert f"{row['bytes']:,}" in printed
        assert row["agreement"] > 0.9
        assert 10 < row["memory"] < 400
    by_name = {row["format"]: row for row in report["formats"]}
    assert by_name["int8-qat"]["float_tensors"] == by_name["int8-ptq"]["float_tensors"] == 0
    assert by_name["float32"]["agreement"] == by_name["float32"]["same_logits"] == 1.0
    assert by_name["float32"]["largest_error"] < 1e-3
    assert by_name["int8-qat"]["same_logits"] > 0.7 > 0.1 > by_name["int8-ptq"]["same_logits"]
    assert by_name["int8-qat"]["bytes"] < by_name["float32"]["bytes"] / 3
    assert report["calibration"] == {"pictures": 512, "seed": 0}
    with Image.open(run_dir / "export" / "comparison.png") as picture:
        assert picture.width > 800
    assert (run_dir / "export" / "comparison.md").read_text().count("\n") == len(FORMATS) + 2


def test_the_table_says_what_the_files_answer(finished, tmp_path):
    """Every figure again, from all answers at once."""
    data, model = load_dataset("digits"), load_model(finished / "model.keras")
    pictures, other = data.calibration(64, 0), load_model(finished / "model.keras")
    other.layers[-1].bias.assign_add(4 * np.eye(10)[3])  # some answers of its file are wrong
    paths = {name: tmp_path / f"{name}.tflite" for name in ("float32", "int8-ptq")}
    for name, path in paths.items():
        content = conversion.convert(name, other if name == "int8-ptq" else model, pictures)
        path.write_bytes(metadata.embed(content, data.contract, metadata.Card("m")))
    readers = {name: Reader(path) for name, path in paths.items()}
    beside = comparison.Comparison(readers, {"float": model}, Classification(data.contract))
    for images, labels in comparison.batches(data, "validation"):
        beside.add(images, labels)
    images, labels = data.validation.images, data.validation.labels
    expected = model.predict(normalize(images), verbose=0)
    right = expected.argmax(-1) == labels
    loss = keras.losses.sparse_categorical_crossentropy(labels, expected, from_logits=True)
    assert (beside.pictures, beside.hits) == (287, right.sum())
    assert beside.loss == pytest.approx(np.sum(loss), rel=1e-5)
    for row, reader in zip(beside.rows(paths, images[:2]), readers.values(), strict=True):
        answers = np.stack([reader.dequantize(reader.run(image)) for image in images])
        differences = (answers.argmax(-1) == labels).astype(float) - right
        errors = np.abs(answers - expected).max(-1)
        threshold = reader.output["quantization"][0] / 2 or comparison.FLOAT_NOISE
        assert row.accuracy == pytest.approx((answers.argmax(-1) == labels).mean())
        assert row.difference == pytest.approx(differences.mean())
        assert row.interval == pytest.approx(1.96 * differences.std(ddof=1) / 287**0.5)
        assert row.agreement == pytest.approx((answers.argmax(-1) == expected.argmax(-1)).mean())
        assert row.same_logits == pytest.approx((errors < threshold).mean(), abs=0.01)
        assert row.largest_error == pytest.approx(errors.max(), abs=1e-3)
    assert row.interval > 0


def test_an_answer_that_is_no_number_is_no_small_error():
    answers = np.array([[0.0, 1.0], [np.nan, np.nan], [0.0, 1.0]], np.float32)
    reader = types.SimpleNamespace(run=int, dequantize=answers.__getitem__, outputs=[{"quantization": (0.0, 0)}])
    task = Classification(Contract(Picture(1, 1, 1), Classes(("a", "b"))))
    model = types.SimpleNamespace(predict_on_batch=lambda images: answers[[0] * len(images)])
    beside = comparison.Comparison({"a": reader}, {"float": model}, task)
    for i in range(3):
        beside.add(np.array([i]), np.array([1]))
    assert np.isnan(beside.sums["a"].largest_error)
    assert (beside.sums["a"].hits, beside.sums["a"].same[0], beside.pictures) == (2, 2, 3)


def test_memory_grows_with_the_batch_not_with_the_split(finished, tmp_path):
    data, model = load_dataset("digits"), load_model(finished / "model.keras")
    content = conversion.convert("float32", model, data.calibration(1, 0))
    (tmp_path / "a.tflite").write_bytes(metadata.embed(content, data.contract, metadata.Card("a")))
    readers = {"float32": Reader(tmp_path / "a.tflite")}

    def peak(batches):
        beside = comparison.Comparison(readers, {"float": model}, Classification(data.contract))
        choice = golden.Choice()
        tracemalloc.start()
        for seed in range(batches):
            rng = np.random.default_rng(seed)
            images, labels = rng.integers(0, 256, (64, 32, 32, 3), np.uint8), rng.integers(0, 10, 64)
            choice.add(images, labels)
            beside.add(images, labels)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(1)  # what is loaded once
    assert peak(20) < peak(2) + 64 * 32 * 32 * 3


def test_golden_pictures_are_the_first_of_each_class_in_turn():
    labels = np.random.default_rng(0).choice(5, 300, p=[0.5, 0.3, 0.1, 0.07, 0.03])
    images = np.arange(300, dtype=np.uint16).view(np.uint8).reshape(300, 1, 2, 1)
    choice = golden.Choice()
    for begin in range(0, 300, 7):
        choice.add(images[begin : begin + 7], labels[begin : begin + 7])
    turns = [np.sum(labels[:i] == labels[i]) for i in range(300)]
    expected = np.argsort(turns, kind="stable")[: golden.COUNT]
    np.testing.assert_array_equal(choice.images, images[expected])
    assert sorted(labels[expected][:5]) == list(range(5))


def test_fewer_pictures_and_the_card_are_said(finished):
    data = load_dataset("digits")
    images, labels = map(np.concatenate, zip(*comparison.batches(data, "validation", 60), strict=True))
    validation = zip(data.validation.images, data.validation.labels, strict=True)
    everything = {picture.tobytes(): label for picture, label in validation}
    assert len(images) == len(labels) == 60
    assert [everything[picture.tobytes()] for picture in images] == labels.tolist()
    again = [batch for batch, _ in comparison.batches(data, "validation", 60)]
    np.testing.assert_array_equal(np.concatenate(again), images)
    assert set(labels) == set(range(10))
    places = np.flatnonzero([p.tobytes() in {q.tobytes() for q in images} for p in data.validation.images])
    assert len(places) == 60 and 100 < places.mean() < 187 and np.ptp(places) > 250  # from all over the split

    card = ("--license=CC BY 4.0", "--author=J. Döe", "--description=Ten digits.", "--model_version=7")
    result = export(finished, "--formats=float32", "--pictures=60", *card)
    assert result.returncode == 0, result.stderr
    assert "resnet8 · digits · validation (60 of 287 pictures)" in result.stdout
    report = files.read_json(finished / "export" / "comparison.json")
    assert (report["pictures"], report["of"]) == (60, 287)
    model = load_model(finished / "model.keras")
    accuracy = (model.predict(normalize(images), verbose=0).argmax(-1) == labels).mean()
    assert report["float_accuracy"] == report["formats"][0]["accuracy"] == pytest.approx(accuracy)
    texts = standard_texts(file(finished, "float32").read_bytes())
    assert texts == {0: "resnet8 (float32)", 1: "Ten digits.", 2: "7", 4: "J. Döe", 5: "CC BY 4.0"}


@pytest.mark.parametrize("name", ("int8-qat", "int8-ptq"))
def test_raw_pixels_go_in(run_dir, name):
    interpreter = Interpreter(model_path=str(file(run_dir, name)))
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert given["dtype"] == made["dtype"] == np.uint8
    assert given["quantization"] == (1 / 128, 128)
    assert list(given["shape"]) == [1, 32, 32, 3]
    pixels = np.arange(32 * 32 * 3, dtype=np.uint32).astype(np.uint8).reshape(32, 32, 3)
    np.testing.assert_array_equal(Reader(file(run_dir, name)).quantize(pixels), pixels)


@pytest.mark.parametrize("name", FORMATS)
def test_what_travels_inside(run_dir, name):
    path = file(run_dir, name)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.read("labels.txt").decode().split() == list("0123456789")
        contract = json.loads(archive.read("contract.json"))
    assert contract["version"] == 2
    assert contract["output"]["labels"] == list("0123456789") and contract["input"]["height"] == 32
    assert inside.read_normalization(path.read_bytes()) == ([128.0], [128.0])


@pytest.mark.parametrize("name", FORMATS)
def test_golden_pictures_are_replayed(run_dir, name):
    path = file(run_dir, name)
    saved = files.read_json(path.with_suffix(".golden.json"))
    reader = Reader(path)
    assert len(saved["pictures"]) == golden.COUNT
    with np.load(path.with_suffix(".golden.npz")) as arrays:
        for i, entry in enumerate(saved["pictures"]):
            png = base64.b64decode(entry["png"])
            assert arrays[f"picture{i:02}"].tobytes() == png
            pixels = reader.contract.picture(Image.open(io.BytesIO(png)))
            assert (
                reader.quantize(pixels).tobytes() == base64.b64decode(entry["input"]) == arrays["inputs"][i].tobytes()
            )
            np.testing.assert_array_equal(reader.run(pixels), np.array(entry["output"], arrays["outputs"].dtype))


def standard_texts(content):
    """Slot -> text of the standard's `ModelMetadata`: name, description, version, 4 author, 5 licence."""
    model = inside._Table.root(content, 0)
    (entry,) = (entry for entry in model.vector(6) if entry.text(0) == "TFLITE_METADATA")
    start = model.vector(4)[entry.number(1)].position(0) + 4
    root = inside._Table.root(content, start)
    return {slot: root.text(slot) for slot in (0, 1, 2, 4, 5) if root.position(slot) is not None}


@pytest.mark.parametrize("name", FORMATS)
def test_nobody_grants_a_licence_unasked(run_dir, name):
    assert standard_texts(file(run_dir, name).read_bytes()) == {0: f"resnet8 ({name})"}


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """The bytes of a small network for three classes, without metadata."""
    model = keras.Sequential([layers.Input((4, 4, 3)), layers.Flatten(), layers.Dense(3)])
    return conversion.convert("float32", model, np.zeros((1, 4, 4, 3), np.float32))


@pytest.mark.parametrize(
    ("label", "line", "kept"),
    [
        ("a\nb", "a b", "a\nb"),
        ("a\r\nb\x85c\u2028d\n", "a b c d", "a\r\nb\x85c\u2028d\n"),
        (os.fsdecode(b"caf\xe9"), "caf\ufffd", "caf\ufffd"),
        ("\ud83d-\udcff\udcff", "\ufffd-\ufffd\ufffd", "\ufffd-\ufffd\ufffd"),
        ("大 🐈", "大 🐈", "大 🐈"),
    ],
)
def test_any_class_name_travels(bare, tmp_path, label, line, kept):
    contract = Contract(Picture(4, 4, 3), Classes(("first", label, "last")))
    path = tmp_path / "model.tflite"
    path.write_bytes(metadata.embed(bare, contract, metadata.Card(label, author=label)))
    with zipfile.ZipFile(path) as archive:
        assert archive.read("labels.txt").decode() == f"first\n{line}\nlast\n"
    assert Reader(path).contract.labels == ("first", kept, "last")
    assert standard_texts(path.read_bytes()) == {0: kept, 4: kept}


@pytest.mark.slow
def test_files_end_with_probabilities_where_asked(run_dir, tmp_path):
    copy = shutil.copytree(run_dir, tmp_path / "run", ignore=shutil.ignore_patterns("export"))
    names = ("float32", "dynamic", "int8-ptq", "int8-qat", "int16x8")
    result = export(copy, "--output=probabilities", f"--formats={','.join(names)}", "--pictures=150", "--tolerance=3")
    assert result.returncode == 0, result.stderr
    assert "same probabilities" in result.stdout
    report = files.read_json(copy / "export" / "comparison.json")
    rows = {row["format"]: row for row in report["formats"]}
    assert report["output"] == "probabilities"
    images, labels = map(
        np.concatenate, zip(*comparison.batches(load_dataset("digits"), "validation", 150), strict=True)
    )
    logits = load_model(copy / "model.keras").predict(normalize(images), verbose=0)
    loss = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    assert report["float_loss"] == pytest.approx(np.mean(loss), rel=1e-3)
    expected = np.array(keras.ops.softmax(logits))
    for name in names:
        reader = Reader(file(copy, name))
        assert reader.contract.output.scores == "probabilities" and ends_in_softmax(reader.interpreter)
        output = reader.contract.output
        answers = np.stack([output.probabilities(reader.dequantize(reader.run(image))) for image in images[:40]])
        assert np.abs(answers - expected[:40]).max() < {"float32": 1e-5}.get(name, 0.3)
        assert answers.sum(-1) == pytest.approx(1, abs=0.02)
        assert rows[name]["agreement"] > 0.95
        saved = files.read_json(file(copy, name).with_suffix(".golden.json"))["pictures"][0]
        pixels = reader.contract.picture(Image.open(io.BytesIO(base64.b64decode(saved["png"]))))
        assert reader.run(pixels).tolist() == saved["output"]
        if name.startswith("int8"):
            assert rows[name]["float_tensors"] == 0 and rows[name]["operators"]["QUANTIZE"] == 2
            assert "DELEGATE" not in rows[name]["operators"]
            assert reader.output["quantization"] == (1 / 256, 0)
    assert rows["float32"]["same_logits"] == 1.0 and rows["float32"]["largest_error"] < 1e-5
    assert rows["int8-qat"]["same_logits"] > 0.7 and rows["int8-qat"]["largest_error"] < 0.05  # its own simulation


def test_reader_prepares_pictures_as_training_does(bare, tmp_path):
    rng = np.random.default_rng(0)
    for crop_fraction in (1.0, 0.875):
        contract = Contract(Picture(4, 4, 3, crop_fraction), Classes(("a", "b", "c")))
        path = tmp_path / "model.tflite"
        path.write_bytes(metadata.embed(bare, contract, metadata.Card("m")))
        reader = Reader(path)
        assert reader.contract == contract
        for size in ((32, 24), (100, 70), (20, 300), (31, 33)):
            image = Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8))
            for kind in (image, image.convert("P")):
                kind.save(tmp_path / "picture.png")
                prepared, *_ = reader.prepare(tmp_path / "picture.png")
                encoded = (tmp_path / "picture.png").read_bytes()
                decoded = decoding.decode(contract.input, encoded, decoding.layout(encoded))
                np.testing.assert_array_equal(prepared, normalize(decoded))
                np.testing.assert_array_equal(reader.prepare_image(kind)[0], prepared)


def test_reader_names_what_it_sees(run_dir):
    data = load_dataset("digits")
    model = load_model(run_dir / "model.keras")
    reader = Reader(file(run_dir, "float32"))
    for image in data.validation.images[:20]:
        (label, probability), *_ = reader.answer(reader.prepare_image(Image.fromarray(image)), top=3).shown.top
        logits = model(normalize(image)[None]).numpy()[0]
        expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        assert label == str(expected.argmax())
        assert probability == pytest.approx(expected.max(), abs=1e-5)


def test_reader_without_our_contract(run_dir, tmp_path, capsys):
    # Standard metadata alone, as other projects' files have it.
    content = file(run_dir, "float32").read_bytes()
    bare = content[: content.index(b"PK\x03\x04")]
    path = tmp_path / "standard.tflite"
    path.write_bytes(metadata.append_files(bare, {"labels.txt": "\n".join("abcdefghij") + "\n"}))
    reader = Reader(path)
    assert (reader.contract.input.mean, reader.contract.labels) == (128.0, tuple("abcdefghij"))
    # Nothing at all: the usual defaults, said aloud.
    model = load_model(run_dir / "model.keras")
    path.write_bytes(conversion.convert("float32", model, np.zeros((1, 32, 32, 3), np.float32)))
    assert Reader(path).contract.labels == tuple("0123456789")
    assert "it says nothing of its scale; taking x = pixel / 127.5 - 1" in capsys.readouterr().err
    path.write_bytes(b"no model")
    with pytest.raises(ValueError, match=r"no \.tflite that LiteRT can run"):
        Reader(path)


def test_int8_files_for_microcontrollers(run_dir):
    result = export(run_dir, "--formats=int8-qat", "--io=int8", "--c_array", "--tolerance=3")
    assert result.returncode == 0, result.stderr
    interpreter = Interpreter(model_path=str(file(run_dir, "int8-qat")))
    assert interpreter.get_input_details()[0]["dtype"] == np.int8
    source = file(run_dir, "int8-qat").with_suffix(".model_data.cc").read_text()
    assert "tflite::MicroMutableOpResolver<4>" in file(run_dir, "int8-qat").with_suffix(".model_data.h").read_text()
    data = bytes(int(word, 16) for word in source[source.index("{") + 1 : source.index("}")].split(","))
    pixels = np.zeros((1, 32, 32, 3), np.int8)
    outputs = []
    for model in ({"model_content": data}, {"model_path": str(file(run_dir, "int8-qat"))}):
        interpreter = Interpreter(**model)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    np.testing.assert_array_equal(*outputs)


@pytest.mark.slow
def test_what_cannot_be_exported(run_dir, tmp_path):
    result = export(tmp_path)
    assert result.returncode == 2 and "no run is there" in result.stderr
    result = export(run_dir, "--formats=int4")
    assert result.returncode == 2 and "--formats=int4: no such format; choose float32" in result.stderr
    for flags, says in (
        (["--formats="], "--formats=: expected at least one of float32"),
        (["--threads=100000"], "--threads=100000: 100000 is not an integer in the range [1, "),
        (["--tolerance=nan"], "--tolerance=nan: expected a finite number"),
        (["--formats=float32", "--qat_epochs=1"], "--qat_epochs=1: none of --formats learns"),
        (["--formats=float32", "--c_array"], "--c_array: it is made of int8 files"),
    ):
        result = export(run_dir, *flags)
        assert result.returncode == 2 and says in result.stderr
    unfinished = tmp_path / "unfinished"
    shutil.copytree(run_dir, unfinished, ignore=shutil.ignore_patterns("export", "qat"))
    result = export(unfinished, "--formats=float32,int8-qat")
    assert (
        result.returncode == 3 and "no finished int8-aware run" in result.stderr and "--qat_epochs=3" in result.stderr
    )
    assert (unfinished / "export" / "resnet8-float32.tflite").exists()
    result = export(unfinished, "--pictures=20")
    assert result.returncode == 0, result.stderr
    assert "int8-qat   left out: no finished int8-aware run in" in result.stdout
    assert {p.stem for p in (unfinished / "export").glob("*.tflite")} == {
        f"resnet8-{name}" for name in ("float32", "float16", "dynamic", "int8-ptq", "int16x8")
    }
    (unfinished / "history.csv").write_text("epoch\n")
    result = export(unfinished)
    assert result.returncode == 2 and "this run is not finished" in result.stderr
    assert "Traceback" not in result.stderr


def test_several_labels_are_told_their_sigmoid():
    found = {
        output.KIND: metadata.model_metadata(Contract(Picture(4, 4, 3), output), metadata.Card("m"))
        for output in (Classes(("a", "b")), Labels(("a", "b")))
    }
    assert b"softmax gives" in found["classes"] and b"sigmoid" not in found["classes"]
    assert b"sigmoid gives" in found["labels"] and b"softmax" not in found["labels"]


def test_an_interval_of_differences_that_are_all_the_same_is_none():
    """Their variance is 0 but for rounding, which may be below it."""
    for labels, pictures in ((5, 5), (3, 7), (7, 64)):
        beside = comparison.Comparison({}, {}, Classification)
        sums = comparison.Sums()
        for _ in range(pictures):
            sums.other_hits += np.square(1 / labels)
            sums.hits += 1 - 1 / labels
        beside.pictures, beside.hits = pictures, float(pictures)
        assert beside.interval(sums) == pytest.approx(0, abs=1e-6)


class Doubled(layers.Layer):
    def call(self, inputs):
        return 2 * inputs


def classifier_of(*middle, shape=(32, 32, 3)):
    """An untrained classifier into ten classes."""
    ends = layers.GlobalAveragePooling2D(), layers.Dense(10)
    return keras.Sequential([layers.Input(shape), *middle, *ends], name="small")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.write_bytes(b"no model"), "model.keras: no model of a run"),
        (lambda path: path.write_bytes(path.read_bytes()[:100_000]), "model.keras: no model of a run"),
        (lambda path: classifier_of(Doubled()).save(path), "Could not locate class 'Doubled'"),
        (
            lambda path: classifier_of(layers.Conv2D(4, 3), shape=(8, 8, 3)).save(path),
            "model.keras: this model makes (None, 10) of (None, 8, 8, 3), the contract wants (None, 10) of",
        ),
        (lambda path: path.unlink(), "model.keras: this file was made and has been removed since; restore it"),
    ],
    ids=["garbage", "cut off", "unknown layer", "foreign", "missing"],
)
def test_a_foreign_model_is_refused(finished, spoil, says):
    spoil(finished / "model.keras")
    with pytest.raises(ValueError, match=re.escape(says)) as error:
        Export(finished, None)
    assert "\n" not in str(error.value)


def test_weights_that_are_no_numbers_are_refused(finished):
    model = classifier_of(layers.Conv2D(4, 3, name="broken"))
    model.layers[0].bias.assign(np.full(4, np.nan))
    model.save(finished / "model.keras")
    result = export(finished)
    assert result.returncode == 2
    assert re.fullmatch(r"export: .*: weight broken/bias is not finite; restore it from a copy, or .*\n", result.stderr)
    assert not (finished / "export").exists()


def test_an_unsupported_layer_fails_its_format_alone(finished):
    classifier_of(layers.Conv2D(4, 3), layers.LayerNormalization(name="learned")).save(finished / "model.keras")
    result = export(finished, "--formats=int8-qat,float32", "--qat_epochs=1")
    assert result.returncode == 3
    assert (
        "int8-qat   failed: layer learned of type LayerNormalization can't be quantized; replace it by" in result.stderr
    )
    assert [path.name for path in finished.rglob("*.tflite")] == ["small-float32.tflite"]
    assert not (finished / "qat").exists()


def test_an_int8_aware_training_learns_from_the_data_that_is_loaded(finished, monkeypatch):
    classifier_of(layers.Conv2D(4, 3), layers.LayerNormalization(name="learned")).save(finished / "model.keras")
    loads, load = [], loading.load_dataset
    monkeypatch.setattr(loading, "load_dataset", lambda *args, **kwargs: loads.append(1) or load(*args, **kwargs))
    options = types.SimpleNamespace(
        dataset=None, data_dir=None, output="logits", calibration=8, qat_epochs=1, android=False
    )
    with pytest.raises(ValueError, match="LayerNormalization can't be quantized"):  # what comes after the data
        Export(finished, options)._quantized()
    assert loads == [1]


def test_an_int8_aware_run_of_other_flags_gets_advice_that_helps(finished):
    qat = shutil.copytree(finished, finished.parent / "qat").rename(finished / "qat")
    saved = files.read_json(qat / "recipe.json")
    files.write_json(qat / "recipe.json", {**saved, "recipe": {**saved["recipe"], "weight_bits": 4}})
    options = types.SimpleNamespace(
        dataset=None, data_dir=None, output="logits", calibration=8, qat_epochs=1, android=False
    )
    with pytest.raises(ValueError, match=r"weight_bits=.*; without --qat_epochs it is exported as it is"):
        Export(finished, options)._quantized()


def test_no_calibration_pictures(finished):
    result = export(finished, "--calibration=0")
    assert result.returncode == 2
    assert result.stderr.startswith("export: flag --calibration=0: 0 is not a positive integer")
    model = load_model(finished / "model.keras")
    with pytest.raises(conversion.ConversionError, match="int8-ptq: no calibration pictures; give at least one"):
        conversion.convert("int8-ptq", model, np.zeros((0, 32, 32, 3), np.float32))


def test_full_disk_leaves_nothing_half_written(finished, small_disk):
    disk = small_disk(finished / "export", 200)
    result = export(finished, "--formats=dynamic,float32")  # the first one fits
    assert result.returncode == 2
    assert "No space left on device" in result.stderr and "resnet8-float32.tflite" in result.stderr
    assert "Traceback" not in result.stderr
    assert [path.name for path in disk.iterdir()] == ["resnet8-dynamic.tflite"]
    assert len(Reader(disk / "resnet8-dynamic.tflite").contract.labels) == 10


@pytest.mark.slow
def test_lost_accuracy_is_an_exit_status(finished):
    # Its int8-aware model is broken: whatever it sees, it says 3. What that loses is known without any report.
    model, data = load_model(finished / "model.keras"), load_dataset("digits")
    shutil.copytree(finished, finished / "qat")
    quantized = quantize_aware(model, data.calibration(64, 0))
    logits = quantized.get_layer("logits")
    logits.kernel.assign(np.zeros(logits.kernel.shape))
    logits.bias.assign(8.0 * np.eye(10)[3])
    save_model(quantized, finished / "qat" / "model.keras")
    labels = data.validation.labels
    right = model.predict(normalize(data.validation.images), verbose=0).argmax(-1) == labels
    lost = 100 * (right.mean() - (labels == 3).mean())
    assert lost > 80
    result = export(finished, "--formats=int8-qat", f"--tolerance={lost - 0.1}")
    assert result.returncode == 1, result.stderr
    (row,) = files.read_json(finished / "export" / "comparison.json")["formats"]
    assert row["accuracy"] == pytest.approx((labels == 3).mean())
    assert row["difference"] == pytest.approx(-lost / 100)
    assert row["agreement"] == 1.0  # the file does say what its model says
    result = export(finished, "--formats=int8-qat", f"--tolerance={lost + 0.1}")
    assert result.returncode == 0, result.stderr
