"""The Raspberry Pi's programs as real processes in a copied folder, where nothing of this project is in sight."""

import csv
import io
import json
import pathlib
import re
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from edge import ROOT, run
from PIL import Image, features

from export import metadata
from keras_resnet import class_folders
from raspberry_pi.classifier import Classifier

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
    result = run(folder, "classify.py", models / INT8, pictures, "--json", "--threads=2")
    assert result.returncode == 1
    assert "cut.png: broken picture" in result.stderr and "text.jpg: no picture; expected JPEG, PNG" in result.stderr
    assert re.search(r"18 pictures, \d+\.\d images/s, 2 could not be read", result.stderr)
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
        (["MODEL", "PICTURE", "--json", "--csv"], "not allowed with argument"),
        (["MODEL", "PICTURE", "--serve"], "pictures go with neither --camera nor --serve"),
        (["MODEL", "PICTURE", "--labels=none.txt"], "--labels=none.txt"),
        (
            ["MODEL", "PICTURE", "--labels=requirements.txt"],
            "10 classes apart, got 4 labels: ai-edge-litert==2.3.0, numpy==",
        ),
        (["MODEL", "PICTURE", "--labels=gap.txt"], "gap.txt: line 2 is empty; expected a class name a line"),
        (["MODEL", "--camera", "--device=none.avi"], "camera"),  # none is there, or nothing that could read one
        (["MODEL", "--serve", "--host=256.0.0.1"], "256.0.0.1:8000"),
        (["MODEL", "--serve", "--port=99999"], "127.0.0.1:99999"),
    ],
)
def test_bad_input(folder, models, pictures, arguments, sentence):
    (folder / "gap.txt").write_text("zero\n\none\n")
    names = {"MODEL": models / INT8, "PICTURE": pictures / "00.png"}
    result = run(folder, "classify.py", *(names.get(a, a) for a in arguments))
    assert result.returncode == 2 and sentence in result.stderr
    assert "Traceback" not in result.stderr and not result.stdout


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
    (folder / INT8.replace(".tflite", ".golden.json")).write_text("{}")
    result = run(folder, "verify.py", INT8)
    assert result.returncode == 2 and "Traceback" not in result.stderr


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


def test_both_ways_to_import_give_the_same_reader(folder, models, pictures):
    code = "import sys; from PIL.Image import open; from {} import Classifier; _, m, p = sys.argv; "
    code += "print(Classifier(m).classify(open(p)))"
    arguments = (models / INT8, pictures / "04.png")
    for place, module in ((folder, "classifier"), (ROOT, "raspberry_pi.classifier")):
        assert run(place, "-c", code.format(module), *arguments).stdout == f"{expected(*arguments)}\n"


def softmax_file(path, quantized):
    """Another project's model: ends with probabilities and has standard metadata at most."""
    tf.keras.utils.set_random_seed(3)
    inputs = tf.keras.Input(batch_shape=(1, 16, 16, 3))
    x = tf.keras.layers.GlobalAveragePooling2D()(tf.keras.layers.Conv2D(8, 3, strides=2)(inputs))
    model = tf.keras.Model(inputs, tf.keras.layers.Dense(4, "softmax")(x))
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if quantized:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        rng = np.random.default_rng(0)
        converter.representative_dataset = lambda: (
            [rng.uniform(-1, 1, (1, 16, 16, 3)).astype(np.float32)] for _ in range(8)
        )
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    path.write_bytes(converter.convert())
    return model


@pytest.mark.parametrize("quantized", [False, True])
def test_probabilities_of_a_foreign_model_stay_what_they_are(tmp_path, quantized, capsys):
    path = tmp_path / "foreign.tflite"
    model = softmax_file(path, quantized)
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8))
    reader = Classifier(path, labels=list("abcd"))
    assert "it says nothing of its scale" in capsys.readouterr().err
    found = {label: probability for label, probability in reader.classify(image)}
    x = np.asarray(image, np.float32)[None] / 127.5 - 1
    probabilities = model(x).numpy()[0]
    np.testing.assert_allclose([found[c] for c in "abcd"], probabilities, atol=0.02 if quantized else 1e-5)
    with pytest.raises(ValueError, match="it tells 4 classes apart, got 3 labels"):
        Classifier(path, labels=list("abc"))


def test_damaged_contract(models, tmp_path):
    content = (models / INT8).read_bytes()
    bare = content[: content.index(b"PK\x03\x04")]
    path = tmp_path / "damaged.tflite"
    for text in ("{", '{"height": 32}', '{"height": 8, "width": 32, "channels": 3, "labels": ["a"]}'):
        path.write_bytes(metadata.append_files(bare, {"contract.json": text}))
        with pytest.raises(ValueError, match="contract"):
            Classifier(path)


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
