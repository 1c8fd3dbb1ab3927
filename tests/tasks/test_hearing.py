"""A network learns to hear: from a folder of WAV files to an int8 file that is given WAV files."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from small_sets import write_tones

from keras_resnet import api, runs
from keras_resnet.data.loading import load_dataset
from keras_resnet.device import sound_files
from keras_resnet.device.reader import Reader

ROOT = pathlib.Path(__file__).parents[2]
FLAGS = ("--seconds=0.25", "--bands=16", "--width=0.25", "--epochs=4", "--batch_size=16")


def run(*command, status=0):
    made = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, cwd=ROOT, timeout=500)
    assert made.returncode == status, made.stdout + made.stderr
    return made.stdout


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    return write_tones(tmp_path_factory.mktemp("tones"), {"train": 40, "val": 8, "test": 8})


@pytest.fixture(scope="module")
def heard(tones, tmp_path_factory):
    """A finished run and its export."""
    run_dir = tmp_path_factory.mktemp("hearing") / "run"
    assert "top-1 accuracy" in run("train.py", f"--dataset={tones}/", f"--run_dir={run_dir}", *FLAGS)
    run("-m", "export", run_dir, "--formats=float32,int8-qat", "--qat_epochs=1")
    return run_dir


def test_the_file_says_what_the_network_says(tones, heard):
    data, model = load_dataset(f"{tones}/", seconds=0.25, bands=16), api.load(heard)
    assert runs.load_contract(runs.Run(heard)) == data.contract == model.contract
    rows = {row["format"]: row for row in json.loads((heard / "export" / "comparison.json").read_text())["formats"]}
    assert rows["float32"]["accuracy"] == 1.0 and rows["int8-qat"]["accuracy"] == 1.0
    assert rows["int8-qat"]["float_tensors"] == 0
    reader = Reader(heard / "export" / "resnet8-float32.tflite")
    for path in reader.contract.input.find([tones / "val"]):
        prepared = reader.prepare(path)
        made = reader.dequantize(reader.invoke(prepared.tensor))
        np.testing.assert_allclose(made, model.scores(model.contract.input.read(path, path)), atol=1e-4)
        assert reader.answer(prepared).shown.top[0][0] == path.parent.name


def test_a_device_hears(tones, heard, tmp_path):
    """The copied folder alone: golden WAV files, answers, and what it can't hear."""
    files = sorted((heard / "export").glob("*.tflite"))
    assert run("-m", "keras_resnet.device", "verify", *files).count("16/16 identical") == 2
    said = run("-m", "keras_resnet.device", "predict", files[1], tones / "test", "--json").splitlines()
    answers = {pathlib.Path(one["sound"]): one["top"][0]["label"] for one in map(json.loads, said)}
    assert len(answers) == 16 and all(path.parent.name == label for path, label in answers.items())
    other = tmp_path / "other.wav"
    other.write_bytes(sound_files.wav(np.zeros(4000), 16000))
    command = [sys.executable, "-m", "keras_resnet.device", "predict", files[0], other]
    made = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert made.returncode == 1 and "16,000 samples a second, this model hears 8,000" in made.stderr
    golden = files[0].with_suffix(".golden.json")
    saved = json.loads(golden.read_text())
    saved["sounds"][0]["wav"], saved["sounds"][1]["wav"] = saved["sounds"][1]["wav"], saved["sounds"][0]["wav"]
    golden.write_text(json.dumps(saved))
    assert "14/16 identical" in run("-m", "keras_resnet.device", "verify", files[0], status=1)


@pytest.mark.slow
def test_a_network_of_waves_learns_and_becomes_a_file(tones, tmp_path):
    flags = ("--seconds=0.25", "--bands=0", "--augmentation=later,stretch", "--width=0.25", "--batch_size=16")
    run("train.py", f"--dataset={tones}/", f"--run_dir={tmp_path / 'run'}", *flags, "--epochs=8")
    run("-m", "export", tmp_path / "run", "--formats=int8-ptq")
    (row,) = json.loads((tmp_path / "run" / "export" / "comparison.json").read_text())["formats"]
    assert row["accuracy"] > 0.9 and row["float_tensors"] == 0
    (file,) = (tmp_path / "run" / "export").glob("*.tflite")
    assert Reader(file).contract.shape == (1, 2000, 1)
    assert "16/16 identical" in run("-m", "keras_resnet.device", "verify", file)
    refused = [sys.executable, "train.py", f"--dataset={tones}/", "--bands=0", f"--run_dir={tmp_path / 'other'}"]
    made = subprocess.run(refused, capture_output=True, text=True, cwd=ROOT)
    assert made.returncode == 2 and "of waves (--bands=0) give later, stretch, or none" in made.stderr


@pytest.mark.slow
def test_other_words_start_from_what_it_heard(heard, tmp_path):
    other = write_tones(tmp_path / "other", {"": 10})
    (other / "low").rename(other / "deep")
    flags = (f"--init={heard}", f"--dataset={other}/", "--epochs=1", f"--run_dir={tmp_path / 'run'}")
    assert "of other labels" in run("train.py", *flags, "--batch_size=8")
    assert runs.load_contract(runs.Run(tmp_path / "run")).input == runs.load_contract(runs.Run(heard)).input
