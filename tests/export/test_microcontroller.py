"""TensorFlow Lite for Microcontrollers (TFLM): what its C++ is told of a file, and what it answers."""

import re

import numpy as np
import pytest
import tensorflow as tf
from tflite_files import File

from export import conversion, golden, metadata, microcontroller
from export.exporting import Export, ExportError
from keras_resnet import load_dataset, load_pretrained
from keras_resnet.device.reader import Reader
from keras_resnet.quantization import quantize_aware

pytestmark = pytest.mark.slow
needs_tflm = pytest.mark.skipif(
    not microcontroller.is_installed(),
    reason='SKIPPED: tflite-micro is not installed, nothing ran in it; pip install -e ".[micro]"',
)
FORMATS = ("int8-ptq", "int8-qat")


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Format -> int8 file of the shipped digits ResNet-8, int8 in and out, with its golden pictures beside it."""
    folder, data = tmp_path_factory.mktemp("micro"), load_dataset("digits")
    model, contract = load_pretrained("digits-resnet8")
    pictures, choice = data.calibration(64, 0), golden.Choice()
    choice.add(data.validation.images, data.validation.labels)
    paths = {name: folder / f"{name}.tflite" for name in FORMATS}
    for name, path in paths.items():
        made = quantize_aware(model, pictures) if name == "int8-qat" else model
        content = conversion.convert(name, made, pictures, "int8")
        path.write_bytes(metadata.embed(content, contract, metadata.Card(name)))
        golden.write(path, Reader(path), choice.things())
    return paths


@pytest.fixture(scope="module")
def foreign():
    """A file with an operator that TFLM lacks."""
    function = tf.function(lambda x: tf.math.top_k(x, 2).values, input_signature=[tf.TensorSpec((1, 4))])
    return tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], function).convert()


def replayed(path):
    """What TFLM answers to the golden pictures, what LiteRT does, and what LiteRT's reference kernels do."""
    content = path.read_bytes()
    with np.load(path.with_suffix(".golden.npz")) as arrays:
        inputs, outputs = arrays["inputs"], arrays["outputs"]
    return microcontroller.run(content, inputs).outputs, outputs, microcontroller.by_reference(content, inputs)


def test_the_resolver_has_the_files_operators_and_no_other(paths):
    for path in paths.values():
        content = path.read_bytes()
        assert set(microcontroller.operators(content)) == set(File(content).operators)
        text = microcontroller.resolver(content)
        calls = re.findall(r"TF_LITE_ENSURE_STATUS\(resolver\.(\w+)\(\)\);", text)
        assert calls == ["AddAdd", "AddConv2D", "AddFullyConnected", "AddMean"]
        assert "tflite::MicroMutableOpResolver<4>;" in text


def test_names_that_are_no_plain_camel_case(monkeypatch):
    kinds = ("AVERAGE_POOL_2D", "CUMSUM", "PADV2", "UNIDIRECTIONAL_SEQUENCE_LSTM", "RELU6", "SPACE_TO_BATCH_ND")
    monkeypatch.setattr(microcontroller, "operators", lambda content: kinds)
    calls = re.findall(r"resolver\.Add(\w+)\(", microcontroller.resolver(b""))
    assert calls == ["AveragePool2D", "CumSum", "PadV2", "UnidirectionalSequenceLSTM", "Relu6", "SpaceToBatchNd"]


def test_what_tflm_lacks_is_named(foreign, monkeypatch):
    with pytest.raises(microcontroller.MicrocontrollerError, match=r"for Microcontrollers has no TOPK_V2$"):
        microcontroller.header(foreign)
    export = Export.__new__(Export)
    export.options = type("Options", (), {"c_array": True})
    with pytest.raises(ExportError, match=r"has no TOPK_V2; leave out --c_array$"):
        export._sources("int8-ptq", foreign)
    assert export._sources("float32", foreign) == {}
    with pytest.raises(microcontroller.MicrocontrollerError, match=r"no \.tflite: it begins with b'# Readme'"):
        microcontroller.operators(b"# Readme of something")


def test_without_tflm_the_header_says_how_to_measure(paths, monkeypatch):
    monkeypatch.setattr(microcontroller, "is_installed", lambda: False)
    content = paths["int8-ptq"].read_bytes()
    text = microcontroller.header(content)
    assert "kTensorArenaSize" not in text and '// pip install -e ".[micro]"\n' in text
    assert "RegisterOps" in text and "extern const unsigned char g_model[];" in text
    with pytest.raises(microcontroller.MicrocontrollerError, match=r'not installed; type pip install -e "\.\[micro\]"'):
        microcontroller.run(content)


@needs_tflm
@pytest.mark.parametrize("name", FORMATS)
def test_tflm_answers_as_litert(paths, name):
    answers, outputs, reference = replayed(paths[name])
    assert answers.shape == (golden.COUNT, 10) and answers.dtype == outputs.dtype == np.int8
    # LiteRT's XNNPACK rounds once where TFLM rounds twice: a step apart here and there, and the same digit.
    np.testing.assert_array_equal(answers.argmax(-1), outputs.argmax(-1))
    assert np.abs(answers.astype(int) - outputs).max() <= 1
    # LiteRT's reference kernels round twice, too, except in dense layers: one answer in some 1,000 is a step apart.
    assert np.sum(answers != reference) <= 2 and np.abs(answers.astype(int) - reference).max() <= 1


@needs_tflm
@pytest.mark.parametrize("name", FORMATS)
def test_the_arena_is_the_least_that_it_runs_in(paths, name):
    content, picture = paths[name].read_bytes(), np.zeros((1, 32, 32, 3), np.int8)
    arena = microcontroller.run(content).arena
    assert 49152 < arena < 60000  # two tensors of 32 x 32 x 16 and the skipped one, and what TFLM keeps of operators
    assert f"constexpr int kTensorArenaSize = {arena};" in microcontroller.header(content)
    assert microcontroller.run(content, picture, arena).arena == arena
    with pytest.raises(microcontroller.MicrocontrollerError, match=r"refuses this file: Failed to"):
        microcontroller.run(content, picture, arena - 16)


@needs_tflm
def test_the_command_replays_the_golden_pictures(paths, tmp_path, capsys):
    microcontroller.main(paths["int8-ptq"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "operators: ADD, CONV_2D, FULLY_CONNECTED, MEAN"
    assert re.fullmatch(r"arena: 5\d,\d{3} bytes", lines[1])
    assert re.fullmatch(r"LiteRT: \d+/16 the same bytes, 16/16 the same largest score, at most 1 apart", lines[2])
    assert re.fullmatch(r"LiteRT's reference kernels: 1[456]/16 the same bytes, 16/16 .*, at most [01] apart", lines[3])
    (tmp_path / "alone.tflite").write_bytes(paths["int8-ptq"].read_bytes())
    microcontroller.main(tmp_path / "alone.tflite")
    assert "no alone.golden.npz beside it: nothing was replayed" in capsys.readouterr().out
    golden = dict(np.load(paths["int8-ptq"].with_suffix(".golden.npz")))
    np.savez(tmp_path / "alone.golden.npz", **{f"{kind}/any": golden[kind] for kind in ("inputs", "outputs")})
    microcontroller.main(tmp_path / "alone.tflite")  # as of a model that is no run's
    assert capsys.readouterr().out.splitlines() == lines
    (tmp_path / "alone.golden.npz").write_bytes(b"junk")
    with pytest.raises(microcontroller.MicrocontrollerError, match=r"alone.golden.npz: broken \("):
        microcontroller.main(tmp_path / "alone.tflite")


@needs_tflm
def test_tflm_says_why_it_refuses_a_file(paths):
    model, pictures = load_pretrained("digits-resnet8")[0], np.zeros((1, 32, 32, 3), np.float32)
    with pytest.raises(microcontroller.MicrocontrollerError, match="Hybrid models are not supported"):
        microcontroller.run(conversion.convert("dynamic", model, pictures))
