"""A contract of several inputs inside a file: a picture, a recording and a text that belong together."""

import json
import wave

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image
from processes import python

from export import network
from export.command_line import Options
from keras_resnet.device.boxes import Boxes
from keras_resnet.device.classes import Classes
from keras_resnet.device.contract import Contract, parse
from keras_resnet.device.metadata import _Table
from keras_resnet.device.picture import Picture
from keras_resnet.device.reader import Reader
from keras_resnet.device.several import Several, SeveralError, Together
from keras_resnet.device.sound import Sound
from keras_resnet.device.text import Text

PICTURE, SOUND = Picture(12, 16, 3, mean=127.5, std=127.5), Sound.of(1000, 0.5, 8)
TEXT = Text(("good", "bad", "film"), 4)
# Names whose order is neither the alphabet's nor the converter's.
INPUT = Several({"zebra": PICTURE, "cry": SOUND, "words": TEXT}, ("cry", "words"))
CONTRACT = Contract(INPUT, Classes(("a", "b", "c")))
FORMATS = ("float32", "int8-ptq", "int8-qat")


def options(folder, **changed):
    given = dict(qat_epochs=0, io="uint8", output="logits", split="validation", pictures=0, tolerance=0.5, threads=1)
    given |= dict(calibration=16, layers=False, android=False, c_array=False, license="", author="", description="")
    given |= dict(examples=f"{folder}/three.npz", contract=f"{folder}/contract.json", formats=list(FORMATS))
    return Options(**{**given, "model_version": "", **changed})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model of three inputs, exported with its contract; pictures of three animals, recordings of two, a text."""
    path = tmp_path_factory.mktemp("several")
    (path / "contract.json").write_text(json.dumps(CONTRACT.as_json()))
    keras.utils.set_random_seed(0)
    inputs = [keras.Input(shape, name=name) for name, shape in CONTRACT.shape.items() if name != "words"]
    inputs.append(keras.Input(TEXT.shape, dtype="int32", name="words"))
    maps = [layers.Conv2D(4, 3, activation="relu")(x) for x in inputs[:2]]
    parts = [layers.GlobalAveragePooling2D()(x) for x in maps]
    parts.append(layers.GlobalAveragePooling1D()(layers.Embedding(5, 6)(inputs[2][:, :, 0])))
    answer = layers.Dense(3, name="kind", kernel_initializer=keras.initializers.RandomNormal(stddev=1.0))(
        layers.Concatenate()(parts)
    )
    keras.Model(inputs, answer).save(path / "three.keras")
    rng = np.random.default_rng(0)
    np.savez(
        path / "three.npz",
        zebra=PICTURE.scaled(rng.integers(0, 256, (24, *PICTURE.shape), np.uint8)),
        cry=SOUND.scaled(rng.integers(0, 256, (24, *SOUND.shape), np.uint8)),
        words=rng.integers(0, 5, (24, *TEXT.shape)).astype(np.int32),
    )
    assert network.export(path / "three.keras", options(path)) == 0
    for name in ("pictures", "sounds"):
        (path / name).mkdir()
    for animal in ("cow", "dog", "owl"):
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8)).save(path / "pictures" / f"{animal}.png")
        if animal != "dog":
            with wave.open(str(path / "sounds" / f"{animal}.wav"), "wb") as file:
                file.setparams((1, 2, 1000, 0, "NONE", ""))
                file.writeframes(rng.integers(-9000, 9000, 700).astype("<i2").tobytes())
    (path / "text.txt").write_text("A good film!")
    return path


def file(folder, name):
    return folder / "three-export" / f"three-{name}.tflite"


def expected(folder, zebra, cry=None, words=None):
    """The logits of the Keras model, whose inputs are prepared one by one; without a thing they are zeros."""
    given = {
        "zebra": PICTURE.scaled(PICTURE.read(zebra, zebra)),
        "cry": SOUND.scaled(SOUND.read(cry, cry)) if cry else np.zeros(SOUND.shape, np.float32),
        "words": TEXT.read(words, words) if words else np.zeros(TEXT.shape, np.int32),
    }
    model = keras.models.load_model(folder / "three.keras")
    return np.asarray(model([given[tensor.name][None] for tensor in model.inputs]))[0]


@pytest.mark.parametrize("left_out", [(), ("cry",), ("words",), ("cry", "words")])
def test_files_that_belong_together_are_answered_as_the_model_does(folder, left_out):
    given = {
        "words": folder / "text.txt",
        "cry": folder / "sounds" / "owl.wav",
        "zebra": folder / "pictures" / "owl.png",
    }
    given = {name: path for name, path in given.items() if name not in left_out}
    wanted = expected(folder, **given)
    for name in FORMATS:
        reader = Reader(file(folder, name))
        near = 10 * reader.output["quantization"][0] or 1e-5
        answer = reader.answer(reader.prepare(given))
        np.testing.assert_allclose(answer.outputs, wanted, atol=near)
        assert answer.shown.top[0][0] == "abc"[np.argmax(answer.outputs)]
    assert np.ptp(wanted) > 0.1  # else nothing is shown


def test_the_contract_lies_in_the_file_and_standard_metadata_names_each_input(folder):
    saved = json.loads(json.dumps(CONTRACT.as_json()))
    assert saved["version"] == 4 and saved["input"]["parts"]["cry"]["rules"]["window"]
    for name in FORMATS:
        reader = Reader(file(folder, name))
        assert reader.contract == parse(saved) == CONTRACT
        root = _Table.root(file(folder, name).read_bytes(), 0)
        data = next(entry for entry in root.vector(6) if entry.text(0) == "TFLITE_METADATA").number(1)
        graph = _Table.root(root.content, root.vector(4)[data].position(0) + 4).vector(3)[0]
        about = [tensor.text(0) for tensor in graph.vector(2)]
        shapes = [tuple(one["shape"][1:]) for one in reader.interpreter.get_input_details()]
        kinds = {PICTURE.shape: "image", SOUND.shape: "sound", TEXT.shape: "ids"}
        assert about == [kinds[shape] for shape in shapes]


def test_programs(folder):
    """`predict` of folders and of files, `verify`, `benchmark`; a page has no place for several files."""
    pictures, sounds, model = folder / "pictures", folder / "sounds", file(folder, "int8-qat")
    program = ("-m", "keras_resnet.program")
    lines = python(*program, "predict", model, f"cry={sounds}", f"zebra={pictures}", "--json").splitlines()
    reader = Reader(model)
    for line, animal in zip(lines, ("cow", "dog", "owl"), strict=True):
        files = {} if animal == "dog" else {"cry": sounds / f"{animal}.wav"}
        files |= {"zebra": pictures / f"{animal}.png"}
        said = json.loads(line)
        assert said["several"] == " ".join(f"{name}={path}" for name, path in files.items())
        shown = reader.predict(files).as_json()
        assert said["top"] == shown["top"]
    program_said = python(*program, "predict", model, f"cry={sounds}", f"zebra={pictures}", "--csv", errors=True)
    assert "1 of them lack what others have, as zebra=" in program_said and "dog.png" in program_said
    assert "8/8 identical" in python(*program, "verify", model)
    assert python(*program, "benchmark", model, "--threads=1", "--seconds=0.05").startswith("{")
    for command in (["serve", model], ["site", model, f"--output={folder / 'page'}"]):
        assert "it takes sets of files, a page one file" in python(*program, *command, status=2)
    assert "this model takes sets of files; give files" in python(*program, "predict", model, "--text=hm", status=2)
    assert not (folder / "page").exists()


def test_what_is_no_set_of_files(folder):
    given, zebra, cry = CONTRACT.input, folder / "pictures", folder / "sounds"
    asked = r"expected zebra=FILE \[cry=FILE\] \[words=FILE\]"
    for arguments, sentence in (
        ([zebra / "cow.png"], f"cow.png: {asked}"),
        ([f"horse={zebra}"], asked),
        (["zebra="], f"zebra=: {asked}"),
        ([f"cry={cry}"], f"no zebra beside it; {asked}"),
        ([f"zebra={zebra}/cow.png", f"zebra={zebra}/dog.png"], "dog.png: zebra is given twice"),
        ([f"zebra={zebra}/cow.png", f"cry={cry}"], "a file and a folder"),
        ([f"zebra={zebra}/cow.png", "cry=none"], "none: no such sound or folder"),
        ([f"zebra={zebra}", f"words={folder}"], "no two files of one name"),
    ):
        with pytest.raises(ValueError, match=sentence):
            given.find(arguments)
    both = Several({"zebra": PICTURE, "cry": SOUND})
    with pytest.raises(SeveralError, match=r"zebra=.*dog.png: no cry beside it; expected zebra=FILE cry=FILE"):
        both.find([f"zebra={zebra}", f"cry={cry}"])
    with pytest.raises(SeveralError, match="one file; expected zebra=FILE cry=FILE"):
        both.read(zebra / "cow.png", "cow.png")
    with pytest.raises(SeveralError, match="nothing; expected"):
        Several({"a": PICTURE, "b": PICTURE}, ("a", "b")).read(Together(), "?")
    with pytest.raises(ValueError, match=r"cow\.png: no "):
        given.read({"zebra": zebra / "cow.png", "cry": zebra / "cow.png"}, "?")


def test_halves_belong_together_two_by_two(folder, tmp_path):
    (tmp_path / "owl.txt").write_text("A film")
    arguments = [f"zebra={folder / 'pictures'}", f"cry={folder / 'sounds'}", f"words={tmp_path}"]
    assert [sorted(one) for one in CONTRACT.input.find(arguments)] == [
        ["cry", "zebra"],
        ["zebra"],
        ["cry", "words", "zebra"],
    ]
    (tmp_path / "owl.txt").rename(tmp_path / "dog.txt")
    assert [sorted(one) for one in CONTRACT.input.find(arguments)][1] == ["words", "zebra"]


def test_two_files_of_one_name_in_a_folder_are_refused(folder, tmp_path):
    for name in ("cow.png", "cow.jpg"):
        Image.new("RGB", (20, 20)).save(tmp_path / name)
    with pytest.raises(SeveralError, match=r"cow.jpg, .*cow.png: two of one name"):
        CONTRACT.input.find([f"zebra={tmp_path}"])


def test_what_is_no_contract_of_several_inputs():
    parts = {"a": PICTURE, "b": SOUND}
    for wrong, optional, sentence in (
        ({"a": PICTURE}, (), "expected two or more names"),
        ({"a=b": PICTURE, "b": SOUND}, (), "without = or /"),
        ({"a": PICTURE, "b": Several(parts)}, (), "input b: several; expected one of picture, sound, text"),
        (parts, ("c",), "optional is 'c', no input; known are a, b"),
        ({"a": PICTURE, "b": Sound}, (), "input b: sound; expected one of picture, sound, text, with its sizes"),
    ):
        with pytest.raises(ValueError, match=sentence):
            Several(wrong, optional)
    with pytest.raises(TypeError, match="optional ones as a list of names"):
        Several(parts, "a")
    saved = CONTRACT.as_json()
    for wrong in (saved | {"version": 3}, saved | {"input": saved["input"]["parts"]["cry"]}):
        with pytest.raises(ValueError, match=r"version \d with an input '\w+'; several are of version 4"):
            parse(wrong)
    with pytest.raises(ValueError, match="boxes of several inputs; expected classes or labels"):
        Contract(Several(parts), Boxes(("a",), ((1, 1, 8),)))


def test_an_export_is_held_to_the_contract(folder, tmp_path):
    def refused(sentence, contract=CONTRACT, **changed):
        (tmp_path / "contract.json").write_text(json.dumps(contract.as_json()))
        with pytest.raises(network.NetworkError, match=sentence):
            network.export(folder / "three.keras", options(folder, contract=str(tmp_path / "contract.json"), **changed))

    parts = CONTRACT.input.parts
    others = {"zebra": parts["cry"], "cry": parts["zebra"], "words": TEXT}
    refused("the model is of {'zebra'", Contract(Several(others), CONTRACT.output))
    renamed = {name.upper(): part for name, part in parts.items()}
    refused("it is of {'ZEBRA'", Contract(Several(renamed), CONTRACT.output))
    refused(r"it is of {'zebra'.*to \(2,\)", Contract(CONTRACT.input, Classes(("a", "b"))))
    refused("--android: the app takes one picture", android=True)
    arrays = dict(np.load(folder / "three.npz"))
    np.savez(tmp_path / "loud.npz", **arrays | {"cry": 3 * arrays["cry"]})
    refused("of the values of cry are not between -1 and 0.99", examples=str(tmp_path / "loud.npz"))
