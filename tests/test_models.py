"""The shipped models: each loads by name and is as good as its card says, on the pictures that ship too."""

import numpy as np
import pytest

from keras_resnet import files, load_pretrained, models
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


def test_unknown_name():
    with pytest.raises(ValueError, match=r"resnet9000: .*models that are here: .*digits-resnet8"):
        load_pretrained("resnet9000")
