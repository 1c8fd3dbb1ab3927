"""Our int8-aware training's peer, tensorflow-model-optimization: always in a process of its own."""

import importlib.util
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from tflite_files import File

from keras_resnet import ResNet, files

ROOT = pathlib.Path(__file__).parents[2]
# Of this project, of what all tests share, and of the networks that quantization is tested on.
PATHS = (ROOT, ROOT / "tests", ROOT / "tests" / "quantization")
needs_tfmot = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_model_optimization") is None,
    reason='SKIPPED: tensorflow-model-optimization is not installed; pip install -e ".[tfmot]"',
)


def test_what_its_training_does_not_know_is_refused():
    from export import conversion
    from keras_resnet.recipes import Recipe

    recipe = Recipe(optimizer="muon", mixup=0.2, repeats=3)
    with pytest.raises(conversion.ConversionError, match=r"knows no --optimizer=muon, --mixup=0\.2, --repeats=3"):
        conversion.by_tfmot(recipe, "uint8")


# Largest difference of the logits of each network and its twin, relative to the largest logit.
TWINS = """
import json, sys
import keras, numpy as np
from export.tfmot import twin
from test_quantization import NETWORKS, alive, pixels, scaled
differences = {}
NETWORKS["sequential"] = lambda: keras.Sequential(
    [keras.Input((32, 32, 3)), keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.GlobalMaxPooling2D()]
)
for name, make in NETWORKS.items():
    keras.utils.set_random_seed(0)
    model = alive(make())
    images = scaled(pixels(model.input_shape[1:], 4))
    logits = np.array(model(images))
    differences[name] = float(np.abs(twin(model)(images) - logits).max() / np.abs(logits).max())
print(json.dumps(differences))
"""
# Largest difference of a kernel and a bias after some steps of the two optimizers.
OPTIMIZERS = """
import json, sys
import keras, numpy as np, tensorflow as tf
from export.tfmot import SGD, Schedule
from keras_resnet import recipes
from keras_resnet.training import optimization
recipe = recipes.Recipe(schedule="cosine", warmup=0.3, momentum=0.9, weight_decay=0.1, learning_rate=0.5)
rng = np.random.default_rng(0)
start = [rng.normal(size=shape).astype("float32") for shape in ((3, 4), (4,))]
ours = [keras.Variable(value) for value in start]
theirs = [tf.Variable(value) for value in start]
one = optimization.make_optimizer(recipe, 10)
other = SGD(Schedule("cosine", 0.5, 10, 0.3, recipe.decay_parts), 0.9, 0.1)
for _ in range(10):
    gradients = [tf.constant(rng.normal(size=value.shape).astype("float32")) for value in start]
    one.apply(gradients, ours)
    other.apply_gradients(zip(gradients, theirs))
moved = [float(np.abs(np.array(a) - b).max()) for a, b in zip(ours, start)]
print(json.dumps([[float(np.abs(np.array(a) - b.numpy()).max()) for a, b in zip(ours, theirs)], moved]))
"""
WITHOUT = """
import runpy, sys
sys.modules["tensorflow_model_optimization"] = sys.modules["tf_keras"] = None  # as if they were not installed
runpy.run_module("export", run_name="__main__", alter_sys=True)
"""


def run(*command, **keywords):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, PATHS)), **keywords}
    command = [sys.executable, *map(str, command)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=500)


def printed(code):
    result = run("-c", code)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@needs_tfmot
@pytest.mark.slow
def test_twins_give_the_same_logits():
    differences = printed(TWINS)
    assert len(differences) == 13
    assert max(differences.values()) < 1e-4, differences


@needs_tfmot
@pytest.mark.slow
def test_optimizers_are_equal():
    differences, moved = printed(OPTIMIZERS)
    assert max(differences) < 1e-5
    assert min(moved) > 0.1


@needs_tfmot
@pytest.mark.slow
def test_a_file_of_raw_pixels_that_answers_as_float_does(finished, tmp_path):
    (tmp_path / "temporary").mkdir()
    result = run("-m", "export", finished, "--formats=int8-qat", "--qat_epochs=2", "--tolerance=3")
    assert result.returncode == 0, result.stderr
    # It trains as long as the int8-aware run did, where nothing else is said.
    result = run("-m", "export", finished, "--formats=int8-tfmot", TMPDIR=str(tmp_path / "temporary"))
    assert result.returncode == 0, result.stderr
    assert re.findall(r"int8-tfmot  epoch +(\d+)/(\d+) ", result.stdout) == [("0", "2"), ("1", "2"), ("2", "2")]
    file = File((finished / "export" / "resnet8-int8-tfmot.tflite").read_bytes())
    assert file.input["dtype"] == file.output["dtype"] == np.uint8
    assert file.input["quantization"] == (1 / 128, 128)
    assert list(file.input["shape"]) == [1, 32, 32, 3]
    assert file.float_tensors == []
    assert file.operators["QUANTIZE"] == 2 and file.operators["DEQUANTIZE"] == 0
    (row,) = files.read_json(finished / "export" / "comparison.json")["formats"]
    assert row["format"] == "int8-tfmot"
    assert row["agreement"] > 0.97
    assert row["difference"] > -0.02
    assert list((tmp_path / "temporary").iterdir()) == []


@needs_tfmot
@pytest.mark.slow
def test_an_end_by_signal_leaves_nothing(finished, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command = [sys.executable, "-m", "export", finished, "--formats=int8-tfmot", "--qat_epochs=50", "--io=int8"]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as process:
        assert "epoch   0/50" in process.stdout.readline()
        assert str(temporary) in processes()
        process.send_signal(signal.SIGTERM)
        assert process.wait(500) == 143
    assert str(temporary) not in processes()
    assert list(temporary.iterdir()) == []
    assert not (finished / "export").exists()


def processes():
    """The command lines of all processes."""
    lines = [pathlib.Path("/proc", name, "cmdline") for name in os.listdir("/proc") if name.isdigit()]
    return "\n".join(path.read_text() for path in lines if path.exists())


@needs_tfmot
def test_what_it_refuses_is_said(finished):
    ResNet(8, (32, 32, 3), 10, version=2).save(finished / "model.keras")
    result = run("-m", "export", finished, "--formats=int8-tfmot")
    assert result.returncode == 3
    assert "int8-tfmot failed: tensorflow-model-optimization refuses it: Layer stage2_block1_norm1:" in result.stderr
    assert "BatchNormalization'> is not supported" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (finished / "export").exists()


def test_without_it_the_others_are_made(finished):
    result = run("-c", WITHOUT, finished, "--formats=int8-tfmot,dynamic")
    assert result.returncode == 3
    assert (
        "int8-tfmot failed: tensorflow-model-optimization is not installed; "
        'type pip install -e ".[tfmot]"\n' in result.stderr
    )
    assert [path.name for path in (finished / "export").glob("*.tflite")] == ["resnet8-dynamic.tflite"]
