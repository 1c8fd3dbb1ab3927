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

from export import comparison, conversion, network, outputs
from export.command_line import Options
from keras_resnet.device import metadata as inside
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
    assert (
        "two (8 examples; 16 others gave the ranges)" in result.stdout
        and "operators, given the file's own inputs" in result.stdout
    )
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
    np.savez(tmp_path / "two.golden.npz", **arrays | {"outputs/kind": arrays["outputs/kind"].astype(np.int16)})
    result = run("keras_resnet.program", "verify", tmp_path / "two.tflite")
    assert result.returncode == 2 and "or of other shapes" in result.stderr
    np.savez(tmp_path / "two.golden.npz", **{name: a for name, a in arrays.items() if name != "outputs/kind"})
    result = run("keras_resnet.program", "verify", tmp_path / "two.tflite")
    assert result.returncode == 2 and "broken golden examples" in result.stderr and "Traceback" not in result.stderr


def test_differences_are_counted_by_hand():
    wanted = np.float32([[0, 1], [2, 0]])
    error, largest, same = outputs._differences(np.float32([[0, 1], [2, 3]]), wanted)
    # Answers differ from their mean, (1, 1/2), by (-1, 1/2) and (1, -1/2); one value of four is 3 away.
    assert error == pytest.approx(3 / np.sqrt(2.5)) and largest == 3 and same == 0.5
    # A single answer: its values differ from their mean, 2, by 1.
    assert outputs._differences(np.float32([[1, 5]]), np.float32([[1, 3]]))[0] == pytest.approx(2 / np.sqrt(2))
    # Answers that are all alike have nothing to be held against, single numbers no largest.
    assert outputs._differences(np.float32([[1, 2]] * 2), np.float32([[1, 3]] * 2))[0] is None
    assert outputs._differences(np.float32([[1], [2]]), np.float32([[1], [3]]))[2] is None
    assert outputs._differences(np.float32([1, 2]), np.float32([1, 3]))[2] is None


SCALES = [(128.0, 128.0), (127.5, 127.5), ((123.7, 116.3, 103.5), (58.4, 57.1, 57.4)), (0.0, 255.0)]


@pytest.mark.parametrize(
    "mean, std", [pytest.param(*one, marks=pytest.mark.slow) if one != SCALES[1] else one for one in SCALES]
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
        stats = schema_stats(file.read_bytes())
        for end, pixel in zip(stats, (255, 0), strict=True):  # the larger first, as the schema has them
            wanted = picture.scaled(np.full((1, 3), pixel, np.uint8))[0]
            np.testing.assert_allclose(np.broadcast_to(end, 3), wanted, rtol=1e-6)
        for said, used in zip(read_normalization(file.read_bytes()), (mean, std), strict=True):
            np.testing.assert_allclose(np.broadcast_to(said, 3), np.broadcast_to(used, 3), rtol=1e-6)
    assert run("keras_resnet.program", "verify", file).returncode == 0


def schema_stats(content):
    """(max, min) of the input in the standard metadata, by the project's reader of flatbuffers."""
    model = inside._Table.root(content, 0)
    entry = next(entry for entry in model.vector(6) if entry.text(0) == "TFLITE_METADATA")
    data = model.vector(4)[entry.number(1)].position(0)
    tensor = inside._Table.root(content, data + 4).vector(3)[0].vector(2)[0]
    return tuple(tensor.table(5).floats(slot) for slot in (0, 1))


def command(**changed):
    """Options as the command line makes them."""
    given = {"formats": ["float32", "int8-ptq", "int8-qat"], "io": "uint8", "pictures": 0, "threads": 1}
    given |= {"calibration": 4, "layers": False, "android": False, "c_array": False, "license": "", "author": ""}
    given |= {"qat_epochs": 0, "output": "logits", "split": "validation", "tolerance": 0.5}
    return Options(**{**given, "description": "", "model_version": "", **changed})


def test_black_and_white_set_the_range_where_no_photo_has_them(tmp_path):
    """And of the photos those are compared and golden that gave no range, as many as are asked for."""
    model, _ = small(tmp_path)
    (tmp_path / "photos").mkdir()
    for i in range(6):
        Image.new("RGB", (8, 8), (100 + 10 * i, 120, 130)).save(tmp_path / "photos" / f"{i}.png")
    contract = Contract(Picture(8, 8, 3, 1.0, 0.0, 255.0), Classes(("a", "b")))
    (tmp_path / "contract.json").write_text(json.dumps(contract.as_json()))
    options = command(examples=tmp_path / "photos", contract=tmp_path / "contract.json", pictures=1)
    assert network.export(model, options) == 0
    for name in ("int8-ptq", "int8-qat"):
        reader = Reader(tmp_path / "m-export" / f"m-{name}.tflite")
        assert reader.input["quantization"] == (pytest.approx(1 / 255), 0)
    golden = np.load(tmp_path / "m-export" / "m-int8-qat.golden.npz")
    order = np.random.default_rng(comparison.SUBSET_SEED).permutation(6)
    assert golden["inputs"].shape == (1, 8, 8, 3) and golden["inputs"][0, 0, 0, 0] == 100 + 10 * order[4]


def test_pixels_of_this_projects_contract_keep_their_range():
    assert pixel_range(Picture(8, 8, 3)) == CONTRACT
    assert pixel_range(Picture(8, 8, 3, 1.0, 0, 255)) == (0.0, pytest.approx(1.0))
    low, high = pixel_range(Picture(8, 8, 3, 1.0, 127.5, 127.5))
    assert (low, high) == CONTRACT  # steps of 1/127.5 would put every pixel between two
    channels = Picture(8, 8, 3, 1.0, 127.5, (58.4, 57.1, 57.4))  # those of the second alone would be
    low, high = pixel_range(channels)
    steps = channels.scaled(np.arange(256, dtype=np.uint8)[:, None].repeat(3, -1))[:, 1] / (high - low) * 255
    assert len(np.unique(np.round(steps).clip(-128, 127))) == 255


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
        (["--examples=two.npz", "--output=probabilities"], "--output: the file of a model alone answers as the model"),
        (["--examples=two.npz", "--formats=int8-tfmot"], "--formats=int8-tfmot: it learns, by a run's data"),
        (["--examples=nowhere.npz"], "--examples=nowhere.npz: no such file; np.savez('nowhere.npz', zebra=…, apple=…)"),
    ],
)
def test_flags_that_do_not_fit_get_a_sentence(folder, flags, said):
    result = run("export", folder / "two.keras", *flags)
    assert result.returncode == 2 and said in result.stderr and "Traceback" not in result.stderr, result.stderr


@pytest.mark.parametrize(
    "changed, said",
    [
        (
            {"examples": "text.npz"},
            r"no file of NumPy's with arrays of numbers; np.savez\('text.npz', zebra=…, a",
        ),
        ({"examples": "."}, "expected a .npz or .npy file, or a folder of pictures with --contract"),
        ({"examples": "other.npz"}, "it has pear, zebra, odd is 'apple'"),
        ({"examples": "one.npy"}, "odd is ''"),
        ({"examples": "none.npz"}, "there are none"),
        ({"examples": "integers.npz"}, "apple, an array of int64; give float32"),
        ({"examples": "wide.npz"}, r"apple, an array of shape \(24, 6\); the model takes \(None, 5\)$"),
        ({"examples": "broken.npz"}, "apple, a value is not finite .NaN or infinity., of number 7 of 24"),
        ({"examples": "huge.npz"}, r"values of apple go up to 1e\+38; no int8 range holds them"),
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
    np.save(tmp_path / "one.npy", arrays["apple"])
    odd = {"none": None, "integers": arrays["apple"].astype(int), "wide": np.zeros((24, 6), np.float32)}
    odd["broken"], odd["huge"] = arrays["apple"].copy(), arrays["apple"].copy()
    odd["broken"][7, 3], odd["huge"][7, 3] = np.nan, 1e38
    for name, apple in odd.items():
        few = arrays if apple is not None else {name: array[:0] for name, array in arrays.items()}
        np.savez(tmp_path / f"{name}.npz", **few | ({} if apple is None else {"apple": apple}))
    options = {"examples": folder / "two.npz", **{name: tmp_path / value for name, value in changed.items()}}
    with pytest.raises(network.NetworkError, match=said):
        network.export(folder / "two.keras", command(**options))


def any_size():
    image = keras.Input((None, None, 3), name="image")
    return keras.Model(image, layers.Conv2D(2, 1)(image))


def input_that_is_an_output():
    image = keras.Input((8, 8, 3), name="image")
    return keras.Model(image, [image, layers.Conv2D(2, 1)(image)])


def broken_weights():
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(2, 1, name="odd")])
    model.layers[0].kernel.assign(np.full((1, 1, 3, 2), np.nan))
    return model


def overflowing():
    return keras.Sequential([keras.Input((8, 8, 3)), layers.Rescaling(1e38), layers.Rescaling(1e38, name="odd")])


@pytest.mark.parametrize(
    "make, said",
    [
        (any_size, "input image is of any size, .None, None, 3., and a file has one"),
        (input_that_is_an_output, "its input image is an output, too"),
        (broken_weights, "weight odd/kernel is not finite"),
        (overflowing, "the model's odd is no number"),
    ],
)
def test_models_that_can_be_no_file_get_a_sentence_and_leave_nothing(tmp_path, make, said):
    make().save(tmp_path / "odd.keras")
    np.save(tmp_path / "x.npy", np.ones((4, 8, 8, 3), np.float32))
    with pytest.raises(network.NetworkError, match=said):
        network.export(tmp_path / "odd.keras", command(examples=tmp_path / "x.npy"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["odd.keras", "x.npy"]
    with pytest.raises(network.NetworkError, match=r"nowhere.keras: no such file; model.save"):
        network.export(tmp_path / "nowhere.keras", command(examples=tmp_path / "x.npy"))


def small(path, **options):
    """Saves a classifier of pictures 8 x 8, and examples of it in a file; returns their paths."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    keras.Model(inputs, layers.Dense(2, **options)(layers.Flatten()(layers.Conv2D(4, 3)(inputs)))).save(
        path / "m.keras"
    )
    np.save(path / "x.npy", np.random.default_rng(0).uniform(-1, 0.9, (6, 8, 8, 3)).astype(np.float32))
    return path / "m.keras", path / "x.npy"


def test_names_that_tensorflow_does_not_take_fail_with_the_name(tmp_path, capsys):
    model, examples = small(tmp_path, name="größe")
    assert network.export(model, command(examples=examples)) == 3
    assert "float32    failed: layer 'größe': TensorFlow's converter takes names of" in capsys.readouterr().err
    assert not (tmp_path / "m-export").exists()


def test_ids_beyond_a_table_are_said_before_anything_is_made(tmp_path):
    ids = keras.Input((6,), dtype="int32", name="ids")
    keras.Model(ids, layers.Dense(2)(layers.Flatten()(layers.Embedding(9, 4)(ids)))).save(tmp_path / "m.keras")
    np.save(tmp_path / "x.npy", np.full((4, 6), 9))
    with pytest.raises(network.NetworkError, match=r"the model can't answer them .*9 is not in"):
        network.export(tmp_path / "m.keras", command(examples=tmp_path / "x.npy"))


def test_recurrent_layers_fail_and_the_process_lives(tmp_path, capsys):
    rows = keras.Input((5, 3))
    keras.Model(rows, layers.LSTM(4, name="odd")(rows)).save(tmp_path / "m.keras")
    np.save(tmp_path / "x.npy", np.zeros((4, 5, 3), np.float32))
    assert network.export(tmp_path / "m.keras", command(examples=tmp_path / "x.npy", formats=["int8-ptq"])) == 3
    assert "int8-ptq   failed: layer odd: of a recurrent layer in int8" in capsys.readouterr().err


def test_a_second_export_leaves_nothing_of_the_first(tmp_path):
    model, examples = small(tmp_path)
    contract = Contract(Picture(8, 8, 3), Classes(("a", "b")))
    (tmp_path / "contract.json").write_text(json.dumps(contract.as_json()))
    (tmp_path / "photos").mkdir()
    for i in range(3):
        Image.new("RGB", (8, 8), (80 * i, 0, 0)).save(tmp_path / "photos" / f"{i}.png")
    options = command(examples=tmp_path / "photos", contract=tmp_path / "contract.json")
    assert network.export(model, options) == 0
    (tmp_path / "m-export" / "mine.txt").write_text("kept")
    assert network.export(model, command(examples=examples, formats=["float32"])) == 0
    left = {path.name for path in (tmp_path / "m-export").iterdir()}
    made = {"m-float32.tflite", "m-float32.golden.npz", "comparison.json", "comparison.md", "comparison.png"}
    assert left == made | {"mine.txt"}


def test_examples_and_models_of_another_scale_than_the_contracts(tmp_path):
    model, examples = small(tmp_path)
    contract = Contract(Picture(8, 8, 3), Classes(("a", "b")))
    (tmp_path / "contract.json").write_text(json.dumps(contract.as_json()))
    options = {"contract": tmp_path / "contract.json"}
    np.save(tmp_path / "pixels.npy", 128 * np.load(examples) + 128)
    with pytest.raises(network.NetworkError, match=r"of the values are not between -1 and 0.9922"):
        network.export(model, command(examples=tmp_path / "pixels.npy", **options))
    quantize_aware(keras.models.load_model(model), np.load(examples) / 10).save(tmp_path / "narrow.keras")
    with pytest.raises(network.NetworkError, match=r"the model was quantized for -0\.\d+ to 0\.\d+; quantize_aware"):
        network.export(tmp_path / "narrow.keras", command(examples=examples, **options))


@pytest.mark.slow
def test_a_model_in_mixed_precision_is_exported_in_float32(tmp_path):
    model, examples = small(tmp_path, dtype="mixed_bfloat16")
    assert network.export(model, command(examples=examples)) == 0
    rows = json.loads((tmp_path / "m-export" / "comparison.json").read_text())["files"]
    assert rows[0]["error"] < 1e-5


def test_a_picture_of_many_outputs_with_long_names():
    shown = {("float32", f"{'output' * 12}{i}"): (np.arange(4.0), np.arange(4.0)) for i in range(12)}
    rows = [outputs.Row(*key, 0, 0.01, 0.1, None, None, {}, {}, 0) for key in shown]
    rows = [dataclasses.replace(row, output=key[1]) for row, key in zip(rows, shown, strict=True)]
    figure = outputs.picture(rows, shown, "many")
    assert len(figure.axes) == outputs.MOST
    assert figure.get_suptitle() == "many; the first 8 of 12 outputs"
    assert figure.axes[0].get_title() == "float32\nerror 0.010" and len(figure.axes[0].get_ylabel()) <= 24


@pytest.mark.slow
def test_every_output_keeps_a_name_of_its_own(tmp_path):
    p, q = keras.Input((4,), name="p"), keras.Input((4,), name="q")
    shared, deep, other = layers.Dense(3, name="dense"), layers.Dense(5, name="deep"), layers.Dense(3, name="dense_2")
    model = keras.Model([p, q], [shared(p), shared(q), other(deep(p))])
    assert conversion.output_names(model) == ["dense", "dense_3", "dense_2"]
    model.save(tmp_path / "m.keras")
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", **{name: rng.normal(size=(6, 4)).astype(np.float32) for name in "pq"})
    assert network.export(tmp_path / "m.keras", command(examples=tmp_path / "x.npz")) == 0
    rows = json.loads((tmp_path / "m-export" / "comparison.json").read_text())["files"]
    assert [row["output"] for row in rows if row["format"] == "float32"] == ["dense", "dense_3", "dense_2"]
    assert max(row["error"] for row in rows if row["format"] == "float32") < 1e-5


@pytest.mark.parametrize("io", ["int8", pytest.param("float32", marks=pytest.mark.slow)])
def test_a_dict_of_inputs_and_what_is_as_simulated(tmp_path, io):
    """The simulation counts where it is the file's, whatever the size of the numbers, by its steps."""
    inputs = {name: keras.Input((3,), name=name) for name in ("zebra", "apple")}
    small = keras.initializers.RandomNormal(stddev=1e-4, seed=0)
    outputs_ = layers.Dense(2, kernel_initializer=small, name="small")(layers.Concatenate()(list(inputs.values())))
    model = keras.Model(inputs, outputs_)
    model.save(tmp_path / "m.keras")
    rng = np.random.default_rng(0)
    rows = {name: rng.uniform(-1, 1, (20, 3)).astype(np.float32) for name in inputs}
    np.savez(tmp_path / "x.npz", **rows)
    options = command(examples=tmp_path / "x.npz", io=io)
    assert network.export(tmp_path / "m.keras", options) == 0
    found = json.loads((tmp_path / "m-export" / "comparison.json").read_text())["files"]
    assert found[-1]["as_simulated"] > 0.9 and found[0]["error"] < 1e-5
    quantized = quantize_aware(model, rows)
    parts = [rows["zebra"], rows["apple"]]
    wrong = {"float": outputs.answers(model, parts), "int8-qat": outputs.answers(quantized, parts)}
    wrong["int8-qat"]["small"] = wrong["int8-qat"]["small"] + 3e-5  # steps are some 4e-6
    paths = {"int8-qat": tmp_path / "m-export" / "m-int8-qat.tflite"}
    (row,), _ = outputs.compare(paths, wrong, outputs.given(model, parts))
    assert row.as_simulated < 0.1


def test_tables_are_rounded_as_in_the_simulation(tmp_path):
    """Where half of all numbers share a value a hair below the middle of two steps, too near for float32 to tell."""
    ids = keras.Input((4,), dtype="int32", name="ids")
    table = layers.Embedding(6, 2, name="table")
    x = layers.GlobalAveragePooling2D()(layers.Reshape((1, 4, 2))(table(ids)))
    model = keras.Model(ids, layers.Dense(2, name="logits")(x))
    step = 0.02221936
    table.set_weights([step * np.array([[0.49999285, -0.5000006], [127, -128], [3, -3], [-7, 7], [50, 60], [0, 1]])])
    given = np.random.default_rng(0).integers(0, 6, (64, 4)).astype(np.int32)
    given[:, 2:] = 0
    quantized = quantize_aware(model, given, search="max")
    before = quantized.predict_on_batch(given)
    content = conversion.convert("int8-qat", quantized, given, raw_pixels=False)
    np.testing.assert_array_equal(quantized.predict_on_batch(given), before)
    (tmp_path / "model.tflite").write_bytes(content)
    file = tensors.Tensors(tmp_path / "model.tflite")
    (name,), (output,) = file.inputs, file.outputs
    made = np.stack([file.dequantize(file.invoke({name: one}))[output] for one in given])
    np.testing.assert_allclose(made, before, atol=1e-6)
