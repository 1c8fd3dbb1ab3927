"""`contract.json` in its versions; which ones are refused is told at length by the vectors of the Android demo."""

import json

import pytest
from edge import ROOT, bare, run
from PIL import Image

from export.metadata import append_files
from keras_resnet.device.classes import Classes
from keras_resnet.device.contract import DAMAGES, Contract, parse
from keras_resnet.device.picture import Picture
from keras_resnet.device.reader import Reader

FIRST = {"height": 32, "width": 32, "channels": 3, "labels": list("abcdefghij")}
SECOND = {
    "version": 2,
    "input": {"kind": "picture", "height": 32, "width": 32, "channels": 3},
    "output": {"kind": "classes", "labels": list("abcdefghij")},
}


def write(path, models, saved):
    """Writes the digits model with this contract inside."""
    path.write_bytes(append_files(bare(models), {"contract.json": json.dumps(saved)}))
    return path


def test_both_versions_say_the_same():
    scale = {"crop_fraction": 0.875, "mean": [1, 2, 3], "std": 64}
    contract = Contract(Picture(32, 32, 3, 0.875, (1.0, 2.0, 3.0), 64.0), Classes(tuple("abcdefghij"), "probabilities"))
    first = FIRST | scale | {"output": "probabilities"}
    second = SECOND | {"input": SECOND["input"] | scale, "output": SECOND["output"] | {"scores": "probabilities"}}
    assert parse(first) == parse({"version": 1} | first) == parse(second) == contract
    assert parse(FIRST) == parse(SECOND) == Contract(Picture(32, 32, 3), Classes(tuple("abcdefghij")))


def test_what_is_saved_is_read_again(tmp_path):
    contract = Contract(Picture(24, 20, 1, 0.5, (1.5,), 2), Classes(["ä", "b"], "probabilities"))
    saved = json.loads(json.dumps(contract.as_json()))
    assert saved["version"] == 2 and saved["input"]["kind"] == "picture" and saved["output"]["kind"] == "classes"
    assert saved["input"]["rules"]["crop"] == "centre"
    path = tmp_path / "contract.json"
    path.write_text(json.dumps(saved))
    assert Contract.load(path) == contract


def test_contracts_of_the_shipped_models_are_read():
    paths = list((ROOT / "keras_resnet" / "models").glob("*/contract.json"))
    assert paths and all(Contract.load(path).shape == (32, 32, 3) for path in paths)


def test_a_file_with_either_version_answers_alike(folder, models, pictures):
    answers = []
    for name, saved in (("first", FIRST), ("second", SECOND)):
        write(folder / f"{name}.tflite", models, saved)
        result = run(folder, "predict", f"{name}.tflite", pictures, "--json")
        assert result.returncode == 0, result.stderr
        answers.append([json.loads(line)["top"] for line in result.stdout.splitlines()])
    assert len(answers[0]) == 16 and answers[0] == answers[1]
    assert {answer[0]["label"] for answer in answers[0]} <= set("abcdefghij")


def test_a_stretched_picture_is_of_a_version_that_older_readers_refuse():
    contract = Contract(Picture(24, 20, 3, resize="stretch"), Classes(["a", "b"]))
    saved = json.loads(json.dumps(contract.as_json()))
    assert saved["version"] == 3 and "whatever its shape" in saved["input"]["rules"]["resize"]
    assert parse(saved) == contract != Contract(Picture(24, 20, 3), Classes(["a", "b"]))
    with pytest.raises(ValueError, match="resize='fit': expected cover or stretch"):
        Picture(24, 20, 3, resize="fit")


@pytest.mark.parametrize(
    ("saved", "sentence"),
    [
        (SECOND | {"version": 5}, "version 5 of a contract; known are 1 to 4: install a newer keras-resnet"),
        (SECOND | {"version": "2"}, "version '2' of a contract; known are 1 to 4"),
        (SECOND | {"version": True}, "version True of a contract; known are 1 to 4"),
        (SECOND | {"version": None}, "version None of a contract; known are 1 to 4"),
        (SECOND | {"input": {"kind": "smell"}}, "input 'smell'; known are picture, sound, text"),
        (SECOND | {"output": {"kind": "poses"}}, "output 'poses'; known are classes, labels, boxes"),
    ],
)
def test_a_contract_of_tomorrow_is_one_sentence(folder, models, saved, sentence):
    write(folder / "tomorrow.tflite", models, saved)
    for command in (["predict", "tomorrow.tflite", "."], ["verify", "tomorrow.tflite"]):
        result = run(folder, *command)
        assert result.returncode == 2 and not result.stdout
        said = [line for line in result.stderr.splitlines() if not line.startswith("INFO")]  # LiteRT's own
        assert len(said) == 1 and "tomorrow.tflite: " in said[0] and sentence in said[0]


def test_damaged_contract(models, tmp_path):
    path = tmp_path / "damaged.tflite"
    for height in (32, 32.0):
        reader = Reader(write(path, models, FIRST | {"height": height}))
        assert reader.contract.input.mean == 128
        assert reader.contract.picture(Image.new("RGB", (40, 50))).shape == (32, 32, 3)
    wrong = [{"height": 8}, {"labels": "abcdefghij"}, {"labels": [1] * 10}, {"labels": list("abc")}, {"output": "?"}]
    wrong += [{"crop_fraction": fraction} for fraction in (0, "1", 1e-9, 1e-300)]
    wrong += [{"mean": [1, 2]}, {"std": [1, 0, 1]}, {"std": []}, {"mean": float("nan")}, {"std": None}]
    texts = ["{", '{"height": 32}', "[]", "[" * 100_000, *(json.dumps(FIRST | field) for field in wrong)]
    for text in texts:
        path.write_bytes(append_files(bare(models), {"contract.json": text}))
        with pytest.raises(ValueError, match=f"{path}: (the contract|it tells 10)"):
            Reader(path)


def test_json_knows_more_kinds_than_numbers():
    """What Python takes for a number, or stores as one, and other readers do not."""
    for wrong in ({"height": True}, {"crop_fraction": True}, {"mean": True}, {"std": [1, True, 1]}, {"std": 1e-50}):
        for saved in (FIRST | wrong, SECOND | {"input": SECOND["input"] | wrong}):
            with pytest.raises(DAMAGES):
                parse(saved)
    assert parse(FIRST | {"height": 32.0, "mean": 2**70}).input.mean == 2.0**70
