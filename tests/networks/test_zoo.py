"""Converted weights against the networks that they come from: keras.applications' own, and PyTorch's."""

import importlib.util
import os
import pathlib
import pickle
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file
from test_resnet import randomize
from torch_states import state_dict

from keras_resnet import origins
from keras_resnet.networks import zoo

SCRIPT = pathlib.Path(__file__).with_name("torch_answers.py")


def pixels(shape, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (2, *shape)).astype("float32")


@pytest.mark.parametrize(
    ("name", "depth", "version"),
    [
        *(("ResNet50", 50, 1), ("ResNet50V2", 50, 2)),
        *(
            pytest.param(f"ResNet{d}{'V2' * (v == 2)}", d, v, marks=pytest.mark.slow)
            for d in (101, 152)
            for v in (1, 2)
        ),
    ],
)
def test_keras_applications(name, depth, version):
    make = getattr(keras.applications, name)
    theirs = make(weights=None, input_shape=(96, 64, 3), classes=7, classifier_activation=None)
    randomize(theirs)
    ours = zoo.convert_keras(theirs, depth, version)
    raw = pixels((96, 64, 3))
    preprocess = keras.applications.resnet_v2 if version == 2 else keras.applications.resnet
    expected = theirs(preprocess.preprocess_input(raw.copy()), training=False).numpy()
    answers = ours(raw / 128 - 1, training=False).numpy()
    assert np.std(expected) > 1e-3
    np.testing.assert_allclose(answers, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.skipif(not importlib.util.find_spec("torchvision"), reason="no PyTorch: pip install -e '.[bench]'")
@pytest.mark.parametrize("depth", [18, 50])
def test_torchvision(depth, tmp_path):
    subprocess.run([sys.executable, SCRIPT, str(depth), tmp_path], check=True, timeout=300)
    ours = zoo.from_torch(zoo.read_torch(tmp_path / "weights.pth"))
    pixels, expected = (np.load(tmp_path / f"{name}.npy") for name in ("pixels", "answers"))
    answers = ours(pixels.astype("float32") / 128 - 1, training=False).numpy()
    assert np.std(expected) > 1e-3
    np.testing.assert_allclose(answers, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("depth", [18, 50, *(pytest.param(d, marks=pytest.mark.slow) for d in (34, 101, 152))])
def test_the_first_layers_of_a_torch_network(depth, tmp_path):
    """Of a `.safetensors`: the stem by hand, and every array at its place."""
    state = state_dict(depth)
    save_file(state, tmp_path / "weights.safetensors")
    ours = zoo.from_torch(zoo.read_torch(tmp_path / "weights.safetensors"))
    raw = pixels((224, 224, 3))
    stem = keras.Model(ours.input, ours.get_layer("stem_norm").output)(raw / 128 - 1)
    x = (raw / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    x = np.pad(x, [(0, 0), (3, 3), (3, 3), (0, 0)])[:, :7, :7]  # what the first pixel sees
    first = np.einsum("bhwc,fchw->bf", x, state["conv1.weight"])
    normed = (first - state["bn1.running_mean"]) / np.sqrt(state["bn1.running_var"] + 1e-5)
    np.testing.assert_allclose(stem[:, 0, 0], normed * state["bn1.weight"] + state["bn1.bias"], atol=1e-4)
    last = f"conv{3 if depth >= 50 else 2}"
    kernel = ours.get_layer(f"stage5_block2_{last}").kernel
    np.testing.assert_array_equal(kernel, state[f"layer4.1.{last}.weight"].transpose(2, 3, 1, 0))
    gamma, beta, mean, variance = ours.get_layer("stage4_block1_shortcut_norm").get_weights()
    for got, part in ((gamma, "weight"), (beta, "bias"), (mean, "running_mean"), (variance, "running_var")):
        np.testing.assert_array_equal(got, state[f"layer3.0.downsample.1.{part}"])
    np.testing.assert_array_equal(ours.get_layer("logits").kernel, state["fc.weight"].T)


class Executed:
    """What a pickle of it does where it is loaded: it makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_a_pth_is_read_and_nothing_in_it_is_executed(tmp_path):
    """As PyTorch lays it out, so that its names are known without PyTorch; the tensors here are a trap."""
    trap, path = tmp_path / "trap", tmp_path / "weights.pth"
    content = pickle.dumps(dict.fromkeys(state_dict(50), Executed(trap)), protocol=2)
    with zipfile.ZipFile(path, "w") as file:  # not compressed, as PyTorch's
        for name, part in (("data.pkl", content), ("byteorder", b"little"), ("version", b"3\n")):
            file.writestr(f"weights/{name}", part)
    described = origins.described(f"torch:{path}")
    assert (described["depth"], described["image_size"]) == (50, 224) and not trap.exists()
    with pytest.raises(zoo.ZooError, match=r"can't be read as a state dict|torch is not installed; pip install torch"):
        zoo.read_torch(path)
    assert not trap.exists()
    pickle.loads(content)
    assert trap.exists()  # so it would have been


def test_what_no_resnet_of_ours_has_is_refused(tmp_path):
    state = state_dict(18)
    for changed, says in (
        ({"conv1.0.weight": state["conv1.weight"]}, "conv1.0.weight have no place in a ResNet-18"),
        (
            {"layer1.2.conv1.weight": state["conv1.weight"]},
            r"a state dict of \(3, 2, 2, 2\) basic blocks; expected tor",
        ),
        ({"layer1.0.conv1.weight": np.zeros((128, 64, 3, 3))}, "stage2_block1_conv1 has .* it is another network's"),
        ({"layer1.0.downsample.1.bias": np.zeros(64)}, "layer1.0.downsample.1.bias have no place in a ResNet-18"),
    ):
        with pytest.raises(zoo.ZooError, match=says):
            zoo.from_torch({**state, **changed}, "torch:x")
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(zoo.ZooError, match="it can't be read as a state dict"):
        zoo.read_torch(tmp_path / "x.safetensors")


def test_keras_weights_lie_in_a_folder_where_there_is_no_network(tmp_path):
    theirs = keras.applications.ResNet50(weights=None, classifier_activation=None)
    file = tmp_path / "resnet50_weights_tf_dim_ordering_tf_kernels.h5"
    theirs.save(file)
    ours = zoo.from_keras_applications("resnet50", tmp_path)
    kernel = theirs.get_layer("conv4_block6_2_conv").kernel
    np.testing.assert_array_equal(ours.get_layer("stage4_block6_conv2").kernel, kernel)
    file.write_bytes(b"broken")
    with pytest.raises(zoo.ZooError, match=r"keras:resnet50: its weights can't be had .* give --data_dir=FOLDER"):
        zoo.from_keras_applications("resnet50", tmp_path)
