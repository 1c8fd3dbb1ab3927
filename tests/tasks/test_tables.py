"""A residual MLP learns a table: from CSV to an int8 file that is given CSV."""

import json

import numpy as np
import pytest
from processes import python as run
from small_sets import write_rows

from keras_resnet import api, runs
from keras_resnet.data.loading import load_dataset
from keras_resnet.device.reader import Reader

FLAGS = ("--width=0.5", "--epochs=3", "--learning_rate=0.005")


@pytest.mark.slow
def test_a_table_from_a_flag_to_an_int8_file(tmp_path):
    (tmp_path / "table").mkdir()
    table, run_dir = write_rows(tmp_path / "table", {"train": 240, "val": 40, "test": 40}), tmp_path / "run"
    said = run("train.py", f"--dataset={table}/", f"--run_dir={run_dir}", *FLAGS)
    assert "240 / 40 / 40 rows to train" in said and "recipe tables" in said
    run("-m", "export", run_dir, "--formats=float32,int8-qat", "--qat_epochs=1")

    data, model = load_dataset(f"{table}/"), api.load(run_dir)
    assert runs.load_contract(runs.Run(run_dir)) == data.contract == model.contract
    rows = {row["format"]: row for row in json.loads((run_dir / "export" / "comparison.json").read_text())["formats"]}
    assert rows["float32"]["accuracy"] > 0.9 and rows["int8-qat"]["accuracy"] > 0.9
    assert rows["int8-qat"]["float_tensors"] == 0 and rows["int8-qat"]["same_logits"] == 1.0
    floating, whole = (run_dir / "export" / f"resnet8-{name}.tflite" for name in ("float32", "int8-qat"))
    reader = Reader(floating)
    for pixels in data.validation.images:
        np.testing.assert_allclose(reader.dequantize(reader.run(pixels)), model.scores(pixels), atol=1e-4)

    assert run("-m", "keras_resnet.device", "verify", floating, whole).count("16/16 identical") == 2
    said = run("-m", "keras_resnet.device", "predict", whole, table / "test.csv", "--json").splitlines()
    truth = [line.split(",")[2] for line in (table / "test.csv").read_text().splitlines()[1:]]
    answers = list(map(json.loads, said))
    assert [one["row"] for one in answers] == [f"{table / 'test.csv'}, row {i}" for i in range(2, 42)]
    assert np.mean([one["top"][0]["label"] == label for one, label in zip(answers, truth, strict=True)]) > 0.9

    said = run("-m", "export", run_dir, "--formats=float32", "--android", status=2)
    assert "--android: the app has no rows; drop it" in said
    (table / "train.csv").write_text((table / "train.csv").read_text().replace("colour", "hue"))
    (table / "val.csv").unlink(), (table / "test.csv").unlink()
    other = ["train.py", f"--dataset={table}/", f"--run_dir={tmp_path / 'other'}", "--recipe=tables"]
    said = run(*other, f"--init={run_dir}", status=2)
    assert "a network of rows goes on with its own columns and data alone" in said
    assert "it has read pictures, " in run(*other, "--init=digits-resnet8", status=2)
