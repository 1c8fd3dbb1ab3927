"""The shipped models: each loads by name and is as good as its card says, on the pictures that ship too."""

import base64
import json
import subprocess
import sys

import numpy as np
import pytest

from keras_resnet import files, load, load_pretrained, models
from keras_resnet.data import decoding
from keras_resnet.data.loading import load_dataset


@pytest.mark.parametrize("name", models.names())
def test_loads_and_answers_by_its_contract(name):
    model, contract = load_pretrained(name)
    assert model.input_shape[1:] == contract.shape
    assert model.output_shape == (None, len(contract.labels))
    folder = models._HERE / name
    assert {p.name for p in folder.iterdir()} >= {
        "model.keras",
        "contract.json",
        "recipe.json",
        "report.json",
        "CARD.md",
    }


def test_digits_are_as_good_as_reported():
    model, contract = load_pretrained("digits-resnet8")
    data = load_dataset("digits")
    assert data.contract == contract
    logits = model.predict(decoding.normalize(data.validation.images), verbose=0)
    reported = files.read_json(models._HERE / "digits-resnet8" / "report.json")["validation"]["top1_accuracy"]
    assert np.mean(logits.argmax(-1) == data.validation.labels) == pytest.approx(reported, abs=1e-9)
    assert reported > 0.97


@pytest.mark.parametrize("name", models.files())
def test_shipped_files_answer_by_their_names(name, tmp_path):
    path = models.files()[name]
    assert {p.name for p in path.parent.iterdir()} >= {"CARD.md", "model.golden.json", "recipe.json", "report.json"}
    assert sum(p.stat().st_size for p in path.parent.iterdir()) < 4e6
    saved = files.read_json(path.with_suffix(".golden.json"))
    kind, suffix = ("sounds", "wav") if "sounds" in saved else ("pictures", "png")
    thing = tmp_path / f"thing.{suffix}"
    thing.write_bytes(base64.b64decode(saved[kind][0][suffix]))
    run = [sys.executable, "-m", "keras_resnet.program"]
    made = subprocess.run([*run, "verify", name], capture_output=True, text=True, cwd=tmp_path)
    count = len(saved[kind])
    assert made.returncode == 0 and f"{count}/{count} identical" in made.stdout, made.stderr
    made = subprocess.run([*run, "predict", name, thing.name, "--json"], capture_output=True, text=True, cwd=tmp_path)
    found = json.loads(made.stdout)
    shown = load(name).predict_picture(thing)
    if kind == "pictures":
        assert found["boxes"] == saved[kind][0]["answer"]["boxes"] and len(found["boxes"]) > 5
        assert shown.as_json() == saved[kind][0]["answer"]
    else:
        label = load(name).contract.labels[int(np.argmax(saved[kind][0]["output"]))]
        assert found["top"][0]["label"] == shown.top[0][0] == label and shown.top[0][1] > 0.5
    with pytest.raises(ValueError, match=f"{name}: it is shipped as an int8 file alone, .*tflite, that learns no more"):
        load_pretrained(name)


def test_unknown_name():
    with pytest.raises(ValueError, match=r"resnet9000: .*models that are here: .*digits-resnet8"):
        load_pretrained("resnet9000")
