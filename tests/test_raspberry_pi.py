"""The Raspberry Pi's programs as real processes in a copied folder, where nothing of this project is in sight."""

import csv
import io
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
import zipfile

import flatbuffers
import numpy as np
import pytest
import tensorflow as tf
from edge import ROOT, run, surroundings
from PIL import Image, features
from tflite_files import overflow_file

from export import metadata
from keras_resnet import class_folders
from raspberry_pi import pictures as reading
from raspberry_pi.classifier import Classifier, read_contract, read_files, read_normalization, shown_normalization

INT8 = "resnet8-int8-ptq.tflite"


def expected(model, path, top=5):
    return Classifier(model).classify(Image.open(path), top)


def test_only_the_three_libraries_are_loaded(folder, models, pictures):
    result = run(folder, "-X", "importtime", "classify.py", models / INT8, pictures / "00.png")
    assert result.returncode == 0, result.stderr
    loaded = {line.split("|")[-1].strip().split(".")[0] for line in result.stderr.splitlines() if "|" in line}
    assert {"ai_edge_litert", "numpy", "PIL", "tqdm"} <= loaded
    assert not loaded & {"tensorflow", "keras", "tf_keras", "keras_resnet", "export", "absl", "matplotlib", "h5py"}
    pinned = {line.split("==")[0] for line in (folder / "requirements.txt").read_text().split()}
    assert pinned == {"ai-edge-litert", "numpy", "pillow", "tqdm"}


def test_one_picture_in_three_forms(folder, models, pictures):
    picture, model = pictures / "03.png", models / INT8
    (best, probability), *_ = expected(model, picture)
    text = run(folder, "classify.py", model, picture).stdout
    assert re.search(
        rf"03\.png  \(\d+\.\d ms preprocessing, \d+\.\d ms inference\)\n  {best} +{100 * probability:.1f} %", text
    )
    answer = json.loads(run(folder, "classify.py", model, picture, "--json", "--top=3").stdout)
    pairs = [(entry["label"], entry["probability"]) for entry in answer["top"]]
    assert pairs == [(label, round(p, 6)) for label, p in expected(model, picture, 3)]
    assert answer["preprocessing_ms"] > 0 and answer["inference_ms"] > 0
    rows = list(csv.DictReader(io.StringIO(run(folder, "classify.py", model, picture, "--csv", "--top=2").stdout)))
    assert len(rows) == 1 and list(rows[0])[-4:] == ["label1", "probability1", "label2", "probability2"]
    assert (rows[0]["label1"], float(rows[0]["probability1"])) == pairs[0]


def test_folder_with_broken_pictures(folder, models, pictures):
    below = pictures / "below"
    below.mkdir()
    content = (pictures / "00.png").read_bytes()
    (below / "cut.png").write_bytes(content[: len(content) // 2])
    (below / "text.jpg").write_text("no picture")
    (below / ".hidden.png").write_text("left alone")
    Image.new("1", (2_000_000, 1)).save(below / "strip.png")
    Image.new("RGBA", (7000, 6000)).save(below / "huge.png", compress_level=1)
    result = run(folder, "classify.py", models / INT8, pictures, "--json", "--threads=2")
    assert result.returncode == 1
    assert "cut.png: broken picture" in result.stderr and "text.jpg: no picture; expected JPEG, PNG" in result.stderr
    assert "strip.png: 2000000x1 pixels: too long for an input of 32x32, which would show less than a" in result.stderr
    assert "huge.png: 7000x6000 pixels (PNG, RGBA) take 504 MB of memory; expected at most 453; make" in result.stderr
    assert re.search(r"20 pictures, \d+\.\d images/s, 4 could not be read", result.stderr)
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [pathlib.Path(a["picture"]).name for a in answers] == [f"{i:02}.png" for i in range(16)]
    for answer in answers:
        label, probability = expected(models / INT8, answer["picture"])[0]
        assert answer["top"][0] == {"label": label, "probability": round(probability, 6)}


def test_pictures_of_every_kind(folder, models, pictures):
    kinds = [suffix for suffix in class_folders.SUFFIXES if suffix != ".avif" or features.check("avif")]
    (folder / "kinds").mkdir()
    for suffix in kinds:
        path = folder / "kinds" / f"0{suffix}"
        Image.open(pictures / "00.png").convert("L").save(path, {".pnm": "PPM", ".jfif": "JPEG"}.get(suffix))
    result = run(folder, "classify.py", models / INT8, folder / "kinds", "--csv", "--top=1")
    assert result.returncode == 0, result.stderr
    assert len(list(csv.DictReader(io.StringIO(result.stdout)))) == len(kinds)


LARGEST = {
    "turned.jpg": ((8192, 6144), "RGB", {}),  # as a phone with 50 megapixels writes it
    "progressive.jpg": ((7424, 6080), "RGB", {"progressive": True, "subsampling": 0}),
    "alpha.png": ((6144, 6144), "RGBA", {"compress_level": 1}),
    "deep.png": ((6144, 4608), "I;16", {"compress_level": 1}),
    "plain.webp": ((6144, 4608), "RGB", {"quality": 10, "method": 0}),
    "plain.avif": ((6144, 4608), "RGB", {"speed": 10}),
    "strip.tif": ((7232, 4800), "RGB", {"compression": "tiff_lzw", "tiffinfo": {278: 4800}}),
}


@pytest.mark.parametrize("name", ["turned.jpg", *(pytest.param(n, marks=pytest.mark.slow) for n in list(LARGEST)[1:])])
def test_memory_of_the_largest_pictures(folder, models, tmp_path, name):
    """What `pictures.MEMORY` says is the most that a process takes, though two threads would like to decode."""
    size, mode, options = LARGEST[name]
    if name == "plain.avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new(mode, size).save(tmp_path / name, exif=exif, **options)
    with Image.open(tmp_path / name) as image:
        assert 0.9 * reading.MEMORY < reading.memory(image) <= reading.MEMORY
    shutil.copy(tmp_path / name, tmp_path / f"copy_{name}")
    shutil.copy(ROOT / "docs" / "digit_3.png", tmp_path)
    code = "import atexit, pathlib, runpy; status = pathlib.Path('/proc/self/status'); "
    code += "atexit.register(lambda: print(status.read_text())); runpy.run_path('classify.py', run_name='__main__')"
    taken = {}
    for given in ([tmp_path / "digit_3.png"], [tmp_path / name, tmp_path / f"copy_{name}"]):
        result = run(folder, "-c", code, models / INT8, *given, "--threads=2", "--csv")
        assert result.returncode == 0, result.stderr
        taken[len(given)] = 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", result.stdout)[1])
    assert taken[2] - taken[1] <= reading.MEMORY + 8 * 2**20


def test_more_pictures_than_one_batch(folder, models, pictures):
    for i in range(70):
        shutil.copy(pictures / f"{i % 16:02}.png", pictures / f"copy{i:02}.png")
    result = run(folder, "classify.py", models / INT8, pictures, "--csv", "--top=1", "--threads=3")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert result.returncode == 0 and len(rows) == 86
    assert [row["label1"] for row in rows[:16]] == [row["label1"] for row in rows[16:32]]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["MODEL"], "expected pictures, a folder, --camera or --serve"),
        (["MODEL", "none.png"], "none.png: no such picture or folder"),
        (["MODEL", "."], "no picture in this folder"),
        (["none.tflite", "PICTURE"], "none.tflite: no .tflite that LiteRT can run"),
        (["PICTURE", "PICTURE"], "no .tflite that LiteRT can run"),
        (["MODEL", "PICTURE", "--top=0"], "--top: got '0', expected a number from 1"),
        (["MODEL", "PICTURE", "--threads=many"], "--threads: got 'many', expected a number from 1"),
        (["MODEL", "PICTURE", "--threads=1000000"], "--threads: got '1000000', expected at most"),
        (["MODEL", "PICTURE", "--json", "--csv"], "not allowed with argument"),
        (["MODEL", "PICTURE", "--serve"], "pictures go with neither --camera nor --serve"),
        (["MODEL", "PICTURE", "--labels=none.txt"], "--labels=none.txt"),
        (
            ["MODEL", "PICTURE", "--labels=requirements.txt"],
            "10 classes apart, got 4 labels: ai-edge-litert==2.3.0, numpy==",
        ),
        (["MODEL", "PICTURE", "--labels=gap.txt"], "gap.txt: line 2 is empty; expected a class name a line"),
        (["MODEL", "--camera", "--device=none.avi"], "camera"),  # none is there, or nothing that could read one
        (["MODEL", "--camera", f"--device={10**20}"], "camera"),
        (["MODEL", "--camera", "--device=²"], "camera"),
        (["MODEL", "--serve", "--host=256.0.0.1"], "256.0.0.1:8000"),
        (["MODEL", "--serve", "--host=a..b"], "a..b:8000"),
        (["MODEL", "--serve", "--port=99999"], "127.0.0.1:99999"),
        (["MODEL", "--serve", "--json"], "do not go with --serve"),
    ],
)
def test_bad_input(folder, models, pictures, arguments, sentence):
    (folder / "gap.txt").write_text("zero\n\none\n")
    names = {"MODEL": models / INT8, "PICTURE": pictures / "00.png"}
    result = run(folder, "classify.py", *(names.get(a, a) for a in arguments))
    assert result.returncode == 2 and sentence in result.stderr
    assert "Traceback" not in result.stderr and not result.stdout


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("form", [[], ["--csv"], ["--json"]])
def test_names_of_any_bytes_and_no_pipes_or_hidden_folders(folder, models, pictures, form, encoding):
    below = pictures / "below.png"
    (below / ".thumbnails").mkdir(parents=True)
    shutil.copy(pictures / "00.png", below / ".thumbnails" / "hidden.png")
    shutil.copy(pictures / "00.png", os.fsencode(below) + b"/caf\xe9.png")
    os.mkfifo(below / "pipe.png")
    command = [sys.executable, "classify.py", models / INT8, pictures, *form]
    environment = surroundings(PYTHONIOENCODING=f"{encoding}:strict")
    result = subprocess.run(command, capture_output=True, cwd=folder, env=environment, timeout=100)
    assert result.returncode == 0 and b"17 pictures" in result.stderr, result.stderr
    assert b"caf\\udce9.png" in result.stdout and b"hidden" not in result.stdout


def test_closed_standard_output(folder, models):
    command = [sys.executable, "verify.py", models / INT8]
    result = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *command], cwd=folder, env=surroundings(), timeout=100)
    assert result.returncode == 0


def test_ctrl_c_is_no_traceback(folder, models):
    process = subprocess.Popen(
        [sys.executable, "benchmark.py", models / INT8, "--threads=2", "--seconds=2"],
        cwd=folder,
        env=surroundings(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert any("1 threads" in line for line in process.stderr)  # the second number of threads is measured now
    process.send_signal(signal.SIGINT)
    assert process.stderr.read() == "" and process.wait(60) == 130


def test_without_the_libraries(folder, models, pictures):
    result = run(folder, "-S", "classify.py", models / INT8, pictures)  # -S: no installed package is in sight
    assert result.returncode == 2 and "type pip install -r requirements.txt" in result.stderr


def test_labels_of_a_file_come_first(folder, models, pictures):
    names = [f"digit {i}" for i in range(10)]
    # As Windows' editor saves it, with a byte order mark, and with lines too many.
    (folder / "names.txt").write_bytes(("\ufeff" + "\r\n".join(names) + "\r\n\r\n").encode())
    answer = json.loads(
        run(
            folder, "classify.py", models / INT8, pictures / "00.png", "--labels=names.txt", "--json", "--top=10"
        ).stdout
    )
    assert answer["top"][0]["label"] == "digit " + expected(models / INT8, pictures / "00.png")[0][0]
    assert {entry["label"] for entry in answer["top"]} == set(names)


def test_camera_is_a_video_file_here(folder, models, pictures):
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed; pip install opencv-python-headless")
    path = str(folder / "digits.avi")
    video = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"FFV1"), 10, (64, 64))  # without loss
    seen = [Image.open(pictures / f"{i:02}.png").convert("RGB").resize((64, 64)) for i in range(4)]
    for image in seen:
        video.write(np.asarray(image)[:, :, ::-1])
    video.release()
    result = run(folder, "classify.py", models / INT8, "--camera", f"--device={path}", "--json", "--top=1")
    assert result.returncode == 0 and "it gives no more pictures" in result.stderr
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    reader = Classifier(models / INT8)
    assert [a["picture"] for a in answers] == [f"frame {i}" for i in range(1, 5)]
    assert [a["top"][0]["label"] for a in answers] == [reader.classify(image, 1)[0][0] for image in seen]


def test_verify_replays_and_notices_one_changed_number(folder, models):
    for name in (INT8, INT8.replace(".tflite", ".golden.json"), INT8.replace(".tflite", ".golden.npz")):
        shutil.copy(models / name, folder)
    golden = folder / INT8.replace(".tflite", ".golden.json")
    saved = json.loads(golden.read_text())
    result = run(folder, "verify.py", INT8)
    assert result.returncode == 0 and f"{INT8}: 16/16 identical" in result.stdout
    digest = re.search(r"outputs [0-9a-f]{16}", result.stdout)[0]
    golden.unlink()
    result = run(folder, "verify.py", INT8, "--threads=2")  # the .npz
    assert result.returncode == 0 and "16/16 identical" in result.stdout and digest in result.stdout
    saved["pictures"][5]["output"][2] += 3
    saved["pictures"][6]["input"] = saved["pictures"][7]["input"]
    golden.write_text(json.dumps(saved))
    result = run(folder, "verify.py", INT8)
    assert result.returncode == 1
    assert f"{INT8}: 14/16 identical" in result.stdout and digest in result.stdout
    assert "1 outputs differ, by at most 3 steps of 0." in result.stdout
    assert "1 pictures were prepared otherwise" in result.stdout


def test_verify_without_golden_pictures(folder, models):
    shutil.copy(models / INT8, folder)
    result = run(folder, "verify.py", INT8)
    assert result.returncode == 2 and "expected resnet8-int8-ptq.golden.json or resnet8" in result.stderr
    saved = json.loads((models / INT8.replace(".tflite", ".golden.json")).read_text())
    for pictures in (
        [],  # which would be "0/0 identical"
        [{**saved["pictures"][0], "output": saved["pictures"][0]["output"][:1]}],
        [{**saved["pictures"][0], "output": [300] * 10}],
        [{**saved["pictures"][0], "png": "eA=="}],
    ):
        (folder / INT8.replace(".tflite", ".golden.json")).write_text(json.dumps({"pictures": pictures}))
        result = run(folder, "verify.py", INT8)
        assert result.returncode == 2 and "broken golden pictures" in result.stderr, pictures
        assert "Traceback" not in result.stderr


def test_benchmark_prints_one_line_to_paste(folder, models, tmp_path):
    # What Raspberry Pi's own tool prints, from its documentation: under-voltage now, throttled some time ago.
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "vcgencmd").write_text(
        '#!/bin/sh\n[ $1 = measure_temp ] && echo "temp=48.3\'C" || echo throttled=0x40001\n'
    )
    (tools / "vcgencmd").chmod(0o755)
    arguments = ("benchmark.py", models / INT8, "--threads=2", "--seconds=0.2")
    began = time.perf_counter()
    plain = run(folder, *arguments)
    seconds = time.perf_counter() - began
    (line,) = plain.stdout.splitlines()
    result = json.loads(line)
    assert result["model"] == INT8 and result["bytes"] == (models / INT8).stat().st_size
    assert list(result["threads"]) == ["1", "2"]
    for latency in result["threads"].values():
        assert 0 < latency["median_ms"] <= latency["p90_ms"] < 1000 * seconds and latency["runs"] >= 20
    assert result["preprocessing_ms"] > 0 and 20 < result["peak_memory_mb"] < 500
    on_a_pi = json.loads(run(folder, *arguments, PATH=str(tools)).stdout)
    assert on_a_pi["before"] == on_a_pi["after"]
    assert on_a_pi["after"] == {"celsius": 48.3, "throttling": ["under-voltage", "throttling has occurred"]}
    assert run(folder, "benchmark.py", folder / "page.html").returncode == 2
    for flag in ("--seconds=inf", "--seconds=nan", "--seconds=-1", "--threads=100000"):
        result = run(folder, "benchmark.py", models / INT8, flag)
        assert result.returncode == 2 and f"got '{flag.partition('=')[2]}', expected" in result.stderr


def test_both_ways_to_import_give_the_same_reader(folder, models, pictures):
    code = "import sys; from PIL.Image import open; from {} import Classifier; _, m, p = sys.argv; "
    code += "print(Classifier(m).classify(open(p)))"
    arguments = (models / INT8, pictures / "04.png")
    for place, module in ((folder, "classifier"), (ROOT, "raspberry_pi.classifier")):
        assert run(place, "-c", code.format(module), *arguments).stdout == f"{expected(*arguments)}\n"


def softmax_file(path, calibration=None, io=tf.uint8):
    """Another project's model: ends with probabilities and has standard metadata at most; int8 with calibration."""
    tf.keras.utils.set_random_seed(3)
    inputs = tf.keras.Input(batch_shape=(1, 16, 16, 3))
    x = tf.keras.layers.GlobalAveragePooling2D()(tf.keras.layers.Conv2D(8, 3, strides=2)(inputs))
    model = tf.keras.Model(inputs, tf.keras.layers.Dense(4, "softmax")(x))
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if calibration is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([x[None]] for x in calibration)
        converter.inference_input_type = converter.inference_output_type = io
    path.write_bytes(converter.convert())
    return model


@pytest.mark.parametrize("io", [None, tf.uint8, tf.float32])
def test_probabilities_of_a_foreign_model_stay_what_they_are(tmp_path, io, capsys):
    path = tmp_path / "foreign.tflite"
    noise = np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 3)).astype(np.float32)
    model = softmax_file(path, noise if io else None, io)
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8))
    reader = Classifier(path, labels=list("abcd"))
    assert "it says nothing of its scale" in capsys.readouterr().err
    assert reader.contract.output == "probabilities"
    found = {label: probability for label, probability in reader.classify(image)}
    x = np.asarray(image, np.float32)[None] / 127.5 - 1
    probabilities = model(x).numpy()[0]
    np.testing.assert_allclose([found[c] for c in "abcd"], probabilities, atol=0.02 if io else 1e-5)
    with pytest.raises(ValueError, match="it tells 4 classes apart, got 3 labels"):
        Classifier(path, labels=list("abc"))


@pytest.mark.parametrize(("low", "high", "io"), [(0, 255, tf.int8), (0, 1, tf.uint8), (-1, 1, tf.int8)])
def test_a_foreign_quantized_input_shows_what_a_pixel_is(tmp_path, low, high, io, capsys):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (8, 16, 16, 3), np.uint8)
    pictures[:, 0, 0], pictures[:, 0, 1] = 0, 255
    path = tmp_path / "foreign.tflite"
    model = softmax_file(path, (low + (high - low) / 255 * pictures).astype(np.float32), io)
    reader = Classifier(path, labels=list("abcd"))
    said = r"says nothing of its scale; its 256 steps, (\S+) to (\S+), are taken for the pixels 0 to 255"
    steps = re.search(said, capsys.readouterr().err).groups()
    np.testing.assert_allclose(np.array(steps, float), (low, high), atol=(high - low) / 255)
    for picture in pictures[:4]:
        expected_input = picture.astype(np.int16) - (128 if io == tf.int8 else 0)
        np.testing.assert_array_equal(reader.quantize(picture), expected_input)
        x = low + (high - low) / 255 * picture[None].astype(np.float32)
        found = reader.probabilities(reader.run(picture))
        np.testing.assert_allclose(found, model(x).numpy()[0], atol=0.02)


@pytest.mark.parametrize(
    ("dtype", "scale", "zero", "mean", "std"),
    [
        (np.int8, 1.0, -128, 0, 1),  # MLPerf Tiny's: pixels as they are
        (np.uint8, 1 / 256, 0, 0, 256),
        (np.int8, 1 / 128, 0, 128, 128),  # ours
        (np.uint8, 0.0, 0, 0, 1),  # a network that casts whole numbers itself
        (np.int16, 1 / 32768, 0, 127.5, 127.5),
        (np.float32, 0.0, 0, 127.5, 127.5),
    ],
)
def test_what_the_numbers_of_an_input_show(dtype, scale, zero, mean, std):
    assert shown_normalization({"dtype": dtype, "quantization": (scale, zero)})[0] == (mean, std)


def picture_spec(dtype=tf.float32, channels=3):
    return tf.TensorSpec((1, 8, 8, channels), dtype)


@pytest.mark.parametrize(
    ("answer", "given", "sentence"),
    [
        (lambda x, y: x[:, 0, 0] + y[:, 0, 0], [picture_spec()] * 2, r"makes \[\(1, 3\)\] of \[\(1, 8, 8, 3\), \(1"),
        (lambda x: x[:, 0, 0], [picture_spec(channels=2)], r"of \[\(1, 8, 8, 2\)\]"),
        (lambda x: x[:, 0, 0, :0], [picture_spec()], r"makes \[\(1, 0\)\] of"),
        (lambda x: x[:, 0], [picture_spec()], r"makes \[\(1, 8, 3\)\] of"),
        (lambda x: tf.concat([x[:, 0, 0], x[:, 1, 1]], 0), [picture_spec()], r"makes \[\(2, 3\)\] of"),
        (lambda x: x[:, 0, 0] + 1, [picture_spec(tf.int32)], "a tensor of int32 comes in or out; expected float32"),
        (lambda x: x[:, 0, 0] > 0, [picture_spec()], "a tensor of bool comes in or out"),
    ],
)
def test_networks_that_classify_no_picture(tmp_path, answer, given, sentence):
    function = tf.function(answer, input_signature=given).get_concrete_function()
    path = tmp_path / "foreign.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([function]).convert())
    with pytest.raises(ValueError, match=f"foreign.tflite: .*{sentence}"):
        Classifier(path)


def bare(models):
    """A file without labels and contract, whose standard metadata is left."""
    content = (models / INT8).read_bytes()
    return content[: content.index(b"PK\x03\x04")]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("\n".join("abcdefghij"), True),
        ("\ufeff" + "\r\n".join("abcdefghij") + "\r\n", True),
        ("\n".join("abcdefghi\x85"), True),  # no line ends here
        ("\n".join("abcdefghi") + "\n\n", True),  # a class without a name, but ten lines
        ("\n".join("abcdefghi"), False),
        ("\n".join("abcdefghijk"), False),  # a background class before or behind, who knows?
        ("", False),
    ],
)
def test_foreign_labels_count_only_if_they_are_as_many_as_the_classes(models, tmp_path, text, named, capsys):
    path = tmp_path / "foreign.tflite"
    path.write_bytes(metadata.append_files(bare(models), {"labels.txt": text}))
    labels = Classifier(path).contract.labels
    said = capsys.readouterr().err
    if named:
        assert labels[:9] == tuple("abcdefghi") and len(labels) == 10 and not said
    else:
        assert labels == tuple("0123456789")
        count = len(text.split()) if text else 0
        assert f"it has {count} labels for 10 classes; numbers stand for classes (--labels names them)" in said
        assert Classifier(path, labels=list("klmnopqrst")).contract.labels[0] == "k"
        assert "labels" not in capsys.readouterr().err


def test_labels_that_are_not_utf_8_are_names_with_a_mark(models, tmp_path, capsys):
    path = tmp_path / "foreign.tflite"
    path.write_bytes(bare(models))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", "\n".join(["äpple", *"bcdefghij"]).encode("latin-1"))
    assert Classifier(path).contract.labels[:2] == ("\ufffdpple", "b") and not capsys.readouterr().err


def test_damaged_contract(models, tmp_path):
    path = tmp_path / "damaged.tflite"
    right = {"height": 32, "width": 32, "channels": 3, "labels": list("abcdefghij")}
    for height in (32, 32.0):
        path.write_bytes(metadata.append_files(bare(models), {"contract.json": json.dumps(right | {"height": height})}))
        reader = Classifier(path)
        assert reader.contract.mean == 128 and reader.contract.pixels(Image.new("RGB", (40, 50))).shape == (32, 32, 3)
    wrong = [
        {"height": 8},
        {"labels": "abcdefghij"},
        {"labels": [1] * 10},
        {"crop_fraction": 0},
        {"crop_fraction": "1"},
        {"crop_fraction": 1e-9},
        {"crop_fraction": 1e-300},
    ]
    wrong += [{"mean": [1, 2]}, {"std": [1, 0, 1]}, {"std": []}, {"mean": float("nan")}, {"std": None}, {"output": "?"}]
    texts = ["{", '{"height": 32}', "[]", "[" * 100_000, *(json.dumps(right | field) for field in wrong)]
    for text in texts:
        path.write_bytes(metadata.append_files(bare(models), {"contract.json": text}))
        with pytest.raises(ValueError, match=f"{path}: (the contract|it says of its pictures|it tells 10)"):
            Classifier(path)


def test_a_zip_behind_a_model_that_would_fill_the_memory(models, tmp_path):
    path = tmp_path / "bomb.tflite"
    kinds = ((zipfile.ZIP_DEFLATED, 200, "more than 16,777,216 bytes"), (zipfile.ZIP_BZIP2, 1, "phones can't"))
    for kind, size, sentence in kinds:
        path.write_bytes(bare(models))
        with zipfile.ZipFile(path, "a", kind) as archive:
            archive.writestr("notes", bytes(1 << 20))
            archive.writestr("labels.txt", bytes(size << 20))
        assert path.stat().st_size < 400_000
        tracemalloc.start()
        with pytest.raises(ValueError, match=f"bomb.tflite: the zip behind the model can't be used .*{sentence}"):
            read_files(path)
        assert tracemalloc.get_traced_memory()[1] < 80 << 20
        tracemalloc.stop()


def metadata_file(standard):
    """A model's bytes that hold nothing but the standard's metadata, whose bytes are given, or None."""
    b = flatbuffers.Builder(0)
    data = b.CreateByteVector(standard) if standard else None
    buffers = metadata._offsets(b, [metadata._table(b, 1, {}), metadata._table(b, 1, {0: data} if data else {})])
    entry = metadata._table(b, 2, {0: b.CreateString("TFLITE_METADATA")}, None, {1: 1})
    b.Finish(metadata._table(b, 7, {4: buffers, 6: metadata._offsets(b, [entry])}), file_identifier=b"TFL3")
    return bytes(b.Output())


def units(*kinds):
    """The standard's metadata of one input with process units: kind -> means, or None for a unit without options."""
    b = flatbuffers.Builder(0)
    made = []
    for kind, means in kinds:
        options = {} if means is None else {1: metadata._table(b, 2, dict.fromkeys((0, 1), metadata._floats(b, means)))}
        made.append(metadata._table(b, 2, options, {0: kind}))
    picture = metadata._table(b, 7, {4: metadata._offsets(b, made)})
    graph = metadata._table(b, 10, {2: metadata._offsets(b, [picture])})
    b.Finish(metadata._table(b, 8, {3: metadata._offsets(b, [graph])}))
    return bytes(b.Output())


def test_metadata_that_says_less_than_ours(models):
    content = bare(models)
    assert read_normalization(content) == (128.0, 128.0)
    assert read_normalization(content.replace(b"TFLITE_METADATA", b"OTHER__METADATA")) is None
    b = flatbuffers.Builder(0)
    b.Finish(metadata._table(b, 8, {0: b.CreateString("a name")}))
    for standard in (None, bytes(b.Output()), units(), units((2, [1.0])), units((1, None))):
        assert read_normalization(metadata_file(standard)) is None
    assert read_normalization(metadata_file(units((2, [1.0]), (1, [3.0])))) == (3.0, 3.0)
    mean, _ = read_normalization(metadata_file(units((1, [1.0, 2.0, 3.0]))))
    assert mean.tolist() == [1, 2, 3]


@pytest.mark.parametrize("means", [[], [1.0, 2.0], [0.0], [float("nan")]])
def test_a_scale_that_no_picture_can_have(tmp_path, means):
    path = tmp_path / "foreign.tflite"
    path.write_bytes(metadata_file(units((1, means))))
    with pytest.raises(ValueError, match=r"foreign\.tflite: it says of its pictures: mean"):
        read_contract(path, (32, 32, 3), 10)


def test_a_damaged_file_never_ends_in_another_error(models, tmp_path, capsys):
    rng = np.random.default_rng(0)
    whole, path, refused = (models / INT8).read_bytes(), tmp_path / "damaged.tflite", 0
    start = whole.index(b"PK\x03\x04")
    for turn in range(500):
        content = bytearray(whole if turn % 2 else whole[:start])
        places = rng.integers(0, 3000, 20)  # most of what is read lies at both ends
        for place in np.where(rng.integers(0, 2, 20), places, len(content) - 1 - places):
            content[place] = rng.integers(0, 256)
        path.write_bytes(content[: rng.integers(1, len(content))] if turn % 10 == 0 else content)
        try:
            read_contract(path, (32, 32, 3), 10)
        except ValueError as error:
            assert str(error).startswith(f"{path}: ")
            refused += 1
    assert 100 < refused < 500


def test_an_answer_that_is_no_number_is_a_sentence(models):
    reader = Classifier(models / "resnet8-float32.tflite")
    logits = np.zeros(10, np.float32)
    for wrong in (np.nan, np.inf):
        logits[3] = wrong
        with pytest.raises(ValueError, match="no number"):
            reader.probabilities(logits)
    logits[3] = -np.inf  # a class that can't be
    assert reader.probabilities(logits)[[3, 4]].tolist() == [0, 1 / 9]


def test_pictures_whose_answer_is_no_number_are_skipped(folder, pictures):
    overflow_file(folder / "overflow.tflite")
    for name in ("00.png", "01.png"):
        Image.new("RGB", (16, 16), "white").save(pictures / name)
    result = run(folder, "classify.py", "overflow.tflite", pictures / "00.png", pictures / "01.png", "--json")
    assert result.returncode == 1 and not result.stdout and "Traceback" not in result.stderr
    assert "skipped: " in result.stderr and "01.png: the network's answer is no number" in result.stderr


@pytest.mark.slow
def test_requirements_can_be_had_for_a_pi(tmp_path):
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--only-binary=:all:",
        "--no-deps",
        "--dest",
        str(tmp_path),
    ]
    platforms = ["--python-version=3.11", "--platform=manylinux_2_28_aarch64", "--platform=manylinux_2_27_aarch64"]
    wanted = ["--requirement", str(ROOT / "raspberry_pi" / "requirements.txt")]
    result = subprocess.run(
        [*command, *platforms, "--platform=manylinux2014_aarch64", *wanted], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert len(list(tmp_path.glob("*.whl"))) == 4
