"""A model that is no run's: any inputs and outputs, its files, its golden examples, what is refused."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from export import conversion, network, outputs
from export.command_line import Options
from keras_resnet.device import tensors
from keras_resnet.device.classes import Classes
from keras_resnet.device.contract import Contract
from keras_resnet.device.metadata import read_normalization
from keras_resnet.device.picture import Picture
from keras_resnet.device.reader import Reader
from keras_resnet.quantization import quantize_aware
from keras_resnet.quantization.pictures import CONTRACT, pixel_range

ROOT = pathlib.Path(__file__).parents[2]


def run(*command):
    return subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd=ROOT, timeout=500)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model of a picture and a row, neither in alphabetical order, that answers with a map and a row; exported."""
    path = tmp_path_factory.mktemp("network")
    keras.utils.set_random_seed(0)
    zebra, apple = keras.Input((12, 16, 3), name="zebra"), keras.Input((5,), name="apple")
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(zebra)
    location = layers.Conv2D(4, 1, name="location")(x)
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.Dense(6, activation="relu")(apple)])
    keras.Model([zebra, apple], [location, layers.Dense(3, name="kind")(x)]).save(path / "two.keras")
    rng = np.random.default_rng(0)
    arrays = {"apple": rng.normal(size=(24, 5)), "zebra": rng.uniform(-1, 3, (24, 12, 16, 3))}
    np.savez(path / "two.npz", **{name: array.astype(np.float32) for name, array in arrays.items()})
    result = run("export", path / "two.keras", f"--examples={path / 'two.npz'}", "--calibration=16", "--layers")
    assert result.returncode == 0, result.stderr
    assert "two (8 examples)" in result.stdout and "operators, given the file's own inputs" in result.stdout
    return path


def test_every_output_of_every_file_is_near_the_models(folder):
    rows = json.loads((folder / "two-export" / "comparison.json").read_text())["files"]
    assert len(rows) == 2 * len(conversion.FORMATS)
    limits = {"float32": 1e-5, "float16": 0.01, "int16x8": 0.3, "dynamic": 0.02}
    for row in rows:
        assert row["error"] < limits.get(row["format"], 0.5), row
        pure = row["format"] in ("int8-ptq", "int8-qat")
        assert (row["float_tensors"] == 0) == pure, row
        assert (row["as_simulated"] is not None) == (row["format"] == "int8-qat")
        assert row["as_simulated"] is None or row["as_simulated"] > 0.99
    model = keras.models.load_model(folder / "two.keras")
    given = dict(np.load(folder / "two.npz"))
    expected = model([given["zebra"][:1], given["apple"][:1]])
    file = tensors.Tensors(folder / "two-export" / "two-float32.tflite")
    made = file.dequantize(file.invoke(file.quantize({name: array[0] for name, array in given.items()})))
    assert list(file.inputs) != [i.name for i in model.inputs]  # else an order is tested that nobody could mix up
    for name, output in zip(("location", "kind"), expected, strict=True):
        np.testing.assert_allclose(made[name], output[0], atol=1e-5)


def test_golden_examples_are_replayed(folder, tmp_path):
    file = folder / "two-export" / "two-int8-qat.tflite"
    result = run("keras_resnet.program", "verify", file)
    assert result.returncode == 0 and "8/8 identical" in result.stdout, result.stderr
    for name in ("two.tflite", "two.golden.npz"):
        (tmp_path / name).write_bytes(file.with_suffix(name.removeprefix("two")).read_bytes())
    arrays = dict(np.load(tmp_path / "two.golden.npz"))
    changed = {**arrays, "outputs/location": arrays["outputs/location"].copy()}
    changed["outputs/location"][3, 0, 0, 0] ^= 1
    np.savez(tmp_path / "two.golden.npz", **changed)
    result = run("keras_resnet.program", "verify", tmp_path / "two.tflite")
    assert result.returncode == 1 and "7/8 identical" in result.stdout and "by at most 1\n" in result.stdout
    np.savez(tmp_path / "two.golden.npz", **{name: a for name, a in arrays.items() if name != "outputs/kind"})
    result = run("keras_resnet.program", "verify", tmp_path / "two.tflite")
    assert result.returncode == 2 and "broken golden examples" in result.stderr and "Traceback" not in result.stderr


def test_differences_are_counted_by_hand():
    wanted = np.float32([[0, 1], [2, 0]])
    error, largest, same = outputs._differences(np.float32([[0, 1], [2, 3]]), wanted)
    # Answers differ from their mean, (1, 1/2), by (-1, 1/2) and (1, -1/2); one value of four is 3 away.
    assert error == pytest.approx(3 / np.sqrt(2.5)) and largest == 3 and same == 0.5


@pytest.mark.parametrize(
    "mean, std", [(128.0, 128.0), (127.5, 127.5), ((123.7, 116.3, 103.5), (58.4, 57.1, 57.4)), (0, 255)]
)
def test_a_contract_of_any_scale_passes(tmp_path, mean, std):
    """File, reader and standard metadata say and do the same, and no two pixels are one where the steps are enough."""
    picture = Picture(8, 8, 3, 1.0, mean, std)
    contract = Contract(picture, Classes(("a", "b")))
    (tmp_path / "contract.json").write_text(json.dumps(contract.as_json()))
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for i in range(6):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(tmp_path / "photos" / f"{i}.png")
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(inputs))
    keras.Model(inputs, layers.Dense(2)(x)).save(tmp_path / "model.keras")
    options = command(examples=tmp_path / "photos", contract=tmp_path / "contract.json")
    assert network.export(tmp_path / "model.keras", options) == 0
    rows = json.loads((tmp_path / "model-export" / "comparison.json").read_text())["files"]
    assert [row["as_simulated"] for row in rows] == [None, None, 1.0]
    for name in ("int8-ptq", "int8-qat"):
        file = tmp_path / "model-export" / f"model-{name}.tflite"
        reader = Reader(file)
        assert reader.contract == contract
        pixels = np.arange(256, dtype=np.uint8)[:, None, None].repeat(3, -1)
        steps = np.concatenate([reader.quantize(part).astype(int) for part in np.split(pixels, 32)])
        assert len(np.unique(steps[..., 0])) >= (230 if isinstance(mean, tuple) else 255)
        assert sorted(path.name for path in file.parent.glob(f"{file.stem}.golden.*")) != []
        for said, used in zip(read_normalization(file.read_bytes()), (mean, std), strict=True):
            np.testing.assert_allclose(np.broadcast_to(said, 3), np.broadcast_to(used, 3), rtol=1e-6)
    assert run("keras_resnet.program", "verify", file).returncode == 0


def command(**changed):
    """Options as the command line makes them."""
    given = {"formats": ["float32", "int8-ptq", "int8-qat"], "io": "uint8", "pictures": 0, "threads": 1}
    given |= {"calibration": 4, "layers": False, "android": False, "c_array": False, "license": "", "author": ""}
    given |= {"qat_epochs": 0, "output": "logits", "split": "validation", "tolerance": 0.5}
    return Options(**given, description="", model_version="", **changed)


def test_pixels_of_this_projects_contract_keep_their_range():
    assert pixel_range(Picture(8, 8, 3)) == CONTRACT
    assert pixel_range(Picture(8, 8, 3, 1.0, 0, 255)) == (0.0, pytest.approx(1.0))
    low, high = pixel_range(Picture(8, 8, 3, 1.0, 127.5, 127.5))
    assert (low, high) == CONTRACT  # steps of 1/127.5 would put every pixel between two


def test_a_learned_model_is_exported_as_it_is(folder, tmp_path):
    arrays = dict(np.load(folder / "two.npz"))
    float_model = keras.models.load_model(folder / "two.keras")
    quantized = quantize_aware(float_model, arrays)
    quantized.get_layer("kind").bias.assign([5.0, -5.0, 0.0])  # as if it had learned so
    quantized.save(tmp_path / "learned.keras")
    options = command(examples=folder / "two.npz")
    assert network.export(tmp_path / "learned.keras", dataclasses.replace(options, formats=None, io="int8")) == 0
    (path,) = (tmp_path / "learned-export").glob("*.tflite")
    file = tensors.Tensors(path)
    made = file.invoke(file.quantize({name: array[0] for name, array in arrays.items()}))
    assert path.name == "learned-int8-qat.tflite" and made["kind"].dtype == np.int8
    with pytest.raises(network.NetworkError, match="float32 wants the float one"):
        network.export(tmp_path / "learned.keras", dataclasses.replace(options, formats=["float32"]))


@pytest.mark.parametrize(
    "flags, said",
    [
        ([], "--examples: expected what the model takes"),
        (["--examples=two.npz", "--qat_epochs=3"], "--qat_epochs: a model alone has no training"),
        (["--examples=two.npz", "--license=MIT"], "--license: files without --contract have no metadata"),
        (["--examples=nowhere.npz"], "--examples=nowhere.npz: no arrays of NumPy"),
    ],
)
def test_flags_that_do_not_fit_get_a_sentence(folder, flags, said):
    result = run("export", folder / "two.keras", *flags)
    assert result.returncode == 2 and said in result.stderr and "Traceback" not in result.stderr, result.stderr


@pytest.mark.parametrize(
    "changed, said",
    [
        ({"examples": "text.npz"}, "no arrays of NumPy"),
        ({"examples": "."}, "expected a .npz or .npy file, or a folder with --contract"),
        ({"examples": "other.npz"}, "a dict of pear, zebra; the model asks for apple"),
        ({"examples": "none.npz"}, "there are none"),
        ({"contract": "text.npz"}, "--contract="),
        ({"contract": "contract.json"}, r"of \(12, 16, 3\) to \(2,\), the model is of"),
    ],
)
def test_examples_that_do_not_fit_get_a_sentence(folder, tmp_path, changed, said):
    (tmp_path / "text.npz").write_text("hello")
    contract = Contract(Picture(12, 16, 3), Classes(("a", "b")))
    (tmp_path / "contract.json").write_text(json.dumps(contract.as_json()))
    arrays = dict(np.load(folder / "two.npz"))
    np.savez(tmp_path / "other.npz", pear=arrays["apple"], zebra=arrays["zebra"])
    np.savez(tmp_path / "none.npz", **{name: array[:0] for name, array in arrays.items()})
    options = {"examples": folder / "two.npz", **{name: tmp_path / value for name, value in changed.items()}}
    with pytest.raises(network.NetworkError, match=said):
        network.export(folder / "two.keras", command(**options))
