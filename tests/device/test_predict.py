"""`python -m device predict` as a real process in a copied folder, where nothing of this project is in sight."""

import csv
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from edge import INT8, ROOT, python, run, surroundings
from PIL import Image, features
from tflite_files import overflow_file

from keras_resnet.device import picture_files
from keras_resnet.device.picture_files import SUFFIXES
from keras_resnet.device.reader import Reader


def expected(model, path, top=5):
    return Reader(model).predict(path, top).top


def test_one_picture_in_three_forms(folder, models, pictures):
    picture, model = pictures / "03.png", models / INT8
    (best, probability), *_ = expected(model, picture)
    text = run(folder, "predict", model, picture).stdout
    assert re.search(
        rf"03\.png  \(\d+\.\d ms preprocessing, \d+\.\d ms inference\)\n  {best} +{100 * probability:.1f} %", text
    )
    answer = json.loads(run(folder, "predict", model, picture, "--json", "--top=3").stdout)
    pairs = [(entry["label"], entry["probability"]) for entry in answer["top"]]
    assert pairs == [(label, round(p, 6)) for label, p in expected(model, picture, 3)]
    assert answer["preprocessing_ms"] > 0 and answer["inference_ms"] > 0
    rows = list(csv.DictReader(io.StringIO(run(folder, "predict", model, picture, "--csv", "--top=2").stdout)))
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
    result = run(folder, "predict", models / INT8, pictures, "--json", "--threads=2")
    assert result.returncode == 1
    assert "cut.png: broken picture" in result.stderr and "text.jpg: no picture; expected JPEG, PNG" in result.stderr
    assert "strip.png: 2000000x1 pixels: too long for an input of 32x32, which would show less than a" in result.stderr
    assert "huge.png: 7000x6000 pixels (PNG, RGBA) take 504 MB of memory; expected at most 453; make" in result.stderr
    assert re.search(r"20 pictures, \d+\.\d a second, 4 could not be read", result.stderr)
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [pathlib.Path(a["picture"]).name for a in answers] == [f"{i:02}.png" for i in range(16)]
    for answer in answers:
        label, probability = expected(models / INT8, answer["picture"])[0]
        assert answer["top"][0] == {"label": label, "probability": round(probability, 6)}


def test_pictures_of_every_kind(folder, models, pictures):
    kinds = [suffix for suffix in SUFFIXES if suffix != ".avif" or features.check("avif")]
    (folder / "kinds").mkdir()
    for suffix in kinds:
        path = folder / "kinds" / f"0{suffix}"
        Image.open(pictures / "00.png").convert("L").save(path, {".pnm": "PPM", ".jfif": "JPEG"}.get(suffix))
    result = run(folder, "predict", models / INT8, folder / "kinds", "--csv", "--top=1")
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
    """What `picture_files.MEMORY` says is the most that a process takes, though two threads would like to decode."""
    size, mode, options = LARGEST[name]
    if name == "plain.avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new(mode, size).save(tmp_path / name, exif=exif, **options)
    with Image.open(tmp_path / name) as image:
        assert 0.9 * picture_files.MEMORY < picture_files.memory(image) <= picture_files.MEMORY
    shutil.copy(tmp_path / name, tmp_path / f"copy_{name}")
    shutil.copy(ROOT / "docs" / "digit_3.png", tmp_path)
    code = "import atexit, pathlib, runpy; status = pathlib.Path('/proc/self/status'); "
    code += "atexit.register(lambda: print(status.read_text())); runpy.run_module('device', run_name='__main__')"
    taken = {}
    for given in ([tmp_path / "digit_3.png"], [tmp_path / name, tmp_path / f"copy_{name}"]):
        result = python(folder, "-c", code, "predict", models / INT8, *given, "--threads=2", "--csv")
        assert result.returncode == 0, result.stderr
        taken[len(given)] = 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", result.stdout)[1])
    assert taken[2] - taken[1] <= picture_files.MEMORY + 8 * 2**20


def test_more_pictures_than_one_batch(folder, models, pictures):
    for i in range(70):
        shutil.copy(pictures / f"{i % 16:02}.png", pictures / f"copy{i:02}.png")
    result = run(folder, "predict", models / INT8, pictures, "--csv", "--top=1", "--threads=3")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert result.returncode == 0 and len(rows) == 86
    assert [row["label1"] for row in rows[:16]] == [row["label1"] for row in rows[16:32]]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["MODEL"], "expected one of: files and folders, --text, --camera, --microphone"),
        (["MODEL", "none.png"], "none.png: no such picture or folder"),
        (["MODEL", "."], "no picture in this folder"),
        (["none.tflite", "PICTURE"], "none.tflite: no such file, and no model of that name is shipped (keras-resnet"),
        (["PICTURE", "PICTURE"], "no .tflite that LiteRT can run"),
        (["MODEL", "PICTURE", ""], "an empty path; expected a picture or folder"),
        (["MODEL", "PICTURE", "--threshold=0.5"], "--hop and --threshold are of words, for --microphone and --stream"),
        (["MODEL", "PICTURE", "--device=1"], "--device is of --camera"),
        (["MODEL", "PICTURE", "--draw=a.png", "--maps=a.png"], "--draw and --maps are both a.png; give two places"),
        (["MODEL", "PICTURE", "--draw="], "argument --draw: got nothing, expected a path"),
        (["MODEL", "PICTURE", "--top=0"], "--top: got '0', expected a number from 1"),
        (["MODEL", "PICTURE", "--threads=many"], "--threads: got 'many', expected a number from 1"),
        (["MODEL", "PICTURE", "--threads=1000000"], "--threads: got '1000000', expected at most"),
        (["MODEL", "PICTURE", "--json", "--csv"], "not allowed with argument"),
        (["MODEL", "PICTURE", "--camera"], "expected one of: files and folders, --text, --camera, --microphone"),
        (["MODEL", "PICTURE", "--labels=none.txt"], "--labels=none.txt"),
        (
            ["MODEL", "PICTURE", "--labels=device/requirements.txt"],
            "10 classes apart, got 4 labels: ai-edge-litert==2.3.0, numpy==",
        ),
        (["MODEL", "PICTURE", "--labels=gap.txt"], "gap.txt: line 2 is empty; expected a class name a line"),
        (["MODEL", "--camera", "--device=none.avi"], "camera"),  # none is there, or nothing that could read one
        (["MODEL", "--camera", f"--device={10**20}"], "camera"),
        (["MODEL", "--camera", "--device=²"], "camera"),
    ],
)
def test_bad_input(folder, models, pictures, arguments, sentence):
    (folder / "gap.txt").write_text("zero\n\none\n")
    names = {"MODEL": models / INT8, "PICTURE": pictures / "00.png"}
    result = run(folder, "predict", *(names.get(a, a) for a in arguments))
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
    command = [sys.executable, "-m", "device", "predict", models / INT8, pictures, *form]
    environment = surroundings(PYTHONIOENCODING=f"{encoding}:strict")
    result = subprocess.run(command, capture_output=True, cwd=folder, env=environment, timeout=100)
    assert result.returncode == 0 and b"17 pictures" in result.stderr, result.stderr
    assert b"caf\\udce9.png" in result.stdout and b"hidden" not in result.stdout


def test_without_the_libraries(folder, models, pictures):
    # -S: no installed package is in sight.
    result = python(folder, "-S", "-m", "device", "predict", models / INT8, pictures)
    assert result.returncode == 2 and "type pip install ai-edge-litert numpy pillow tqdm" in result.stderr


def test_labels_of_a_file_come_first(folder, models, pictures):
    names = [f"digit {i}" for i in range(10)]
    # As Windows' editor saves it, with a byte order mark, and with lines too many.
    (folder / "names.txt").write_bytes(("\ufeff" + "\r\n".join(names) + "\r\n\r\n").encode())
    answer = json.loads(
        run(folder, "predict", models / INT8, pictures / "00.png", "--labels=names.txt", "--json", "--top=10").stdout
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
    result = run(folder, "predict", models / INT8, "--camera", f"--device={path}", "--json", "--top=1")
    assert result.returncode == 0 and "it gives no more pictures" in result.stderr
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    reader = Reader(models / INT8)
    assert [a["picture"] for a in answers] == [f"frame {i}" for i in range(1, 5)]
    assert [a["top"][0]["label"] for a in answers] == [
        reader.answer(reader.prepare_image(image), 1).shown.top[0][0] for image in seen
    ]


def test_pictures_whose_answer_is_no_number_are_skipped(folder, pictures):
    overflow_file(folder / "overflow.tflite")
    for name in ("00.png", "01.png"):
        Image.new("RGB", (16, 16), "white").save(pictures / name)
    result = run(folder, "predict", "overflow.tflite", pictures / "00.png", pictures / "01.png", "--json")
    assert result.returncode == 1 and not result.stdout and "Traceback" not in result.stderr
    assert "skipped: " in result.stderr and "01.png: the network's answer is no number" in result.stderr
