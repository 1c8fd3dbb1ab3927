"""What `--init` brings: every kind of origin, with the same labels or others, as people start it."""

import dataclasses
import json
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from processes import ROOT, finish, told
from safetensors.numpy import save_file
from small_sets import make_folder
from torch_states import state_dict

from keras_resnet import files, origins, recipes, runs, tasks
from keras_resnet.data.decoding import normalize
from keras_resnet.data.loading import load_dataset
from keras_resnet.data.sources import Arrays
from keras_resnet.history import read_history
from keras_resnet.networks import prediction
from keras_resnet.networks.detector import detector
from keras_resnet.networks.resnet import ResNet
from keras_resnet.networks.segmenter import segmenter
from keras_resnet.networks.transfer import split, transfer
from keras_resnet.quantization.saved import load_model
from keras_resnet.training import probe

MODELS = pathlib.Path(__file__).parents[2] / "keras_resnet" / "models"


@pytest.fixture
def photos(tmp_path):
    return make_folder(tmp_path / "photos", ("cat", "dog", "owl"), 20, (32, 32))


def weights(model):
    return {v.path: v.numpy() for v in model.weights}


def test_all_but_the_last_layer_comes_over():
    origin = ResNet(8, (32, 32, 3), 10)
    model = transfer(origin, (48, 40, 3), 4, seed=3)
    old, new = weights(origin), weights(model)
    assert old.keys() == new.keys() and model.input_shape == (None, 48, 40, 3) and model.output_shape == (None, 4)
    assert [path for path in old if old[path].shape != new[path].shape] == ["logits/kernel", "logits/bias"]
    assert all(np.array_equal(old[path], new[path]) for path in old if "logits" not in path)
    again, other = (weights(transfer(origin, (48, 40, 3), 4, seed))["logits/kernel"] for seed in (3, 4))
    assert np.array_equal(again, new["logits/kernel"]) and not np.array_equal(other, again)
    model.get_layer("stem_conv").kernel.assign(np.zeros((3, 3, 3, 16)))
    assert weights(origin)["stem_conv/kernel"].any()  # the origin is left alone


@pytest.mark.parametrize("version", [1, 2])
def test_classes_start_from_what_a_network_of_boxes_or_masks_sees(version):
    backbone = ResNet(8, (32, 32, 3), version=version, features=True)
    classifier = ResNet(8, (32, 32, 3), 4, version=version)
    images = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype("float32")
    for origin in (detector(backbone, 3, (2,)), segmenter(backbone, 3, stride=1)):
        model = transfer(origin, (32, 32, 3), 4, seed=3)
        assert model.name == backbone.name and [*weights(model)] == [*weights(classifier)]
        classifier.set_weights(model.get_weights())  # the same network, layer by layer
        np.testing.assert_array_equal(model(images), classifier(images))
        own = weights(origin)
        assert all(np.array_equal(own[path], array) for path, array in weights(model).items() if "logits" not in path)


def test_a_softmax_behind_the_last_layer_is_left_out():
    origin = keras.applications.MobileNetV2(weights=None, input_shape=(96, 96, 3), classes=7)
    model = transfer(origin, (64, 64, 3), 4, 0)
    assert model.output_shape == (None, 4) and split(model)[1].activation is keras.activations.linear


def test_what_can_not_be_continued_says_why():
    image = keras.Input((8, 8, 3))
    flat = keras.Model(image, keras.layers.Dense(4)(keras.layers.Dense(6)(keras.layers.Flatten()(image))), name="flat")
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    open_end = keras.Model(image, keras.layers.ReLU(name="end")(pooled), name="open")
    maps = keras.Model(image, keras.layers.ReLU(name="end")(image), name="maps")
    for model, shape, says in (
        (flat, (16, 16, 3), r"flat does not take pictures of 16x16 .* give --image_size=8x8"),
        (flat, (8, 8, 1), "flat was trained on 3 channels, the input has 1; of pictures give --channels=3"),
        (open_end, (8, 8, 3), "open ends in end of type ReLU, expected a Dense layer"),
        (maps, (8, 8, 3), r"maps makes \(8, 8, 3\) of 1 inputs, no classes; expected a classifier"),
    ):
        with pytest.raises(runs.RunError, match=says):
            transfer(model, shape, 2, 0)


def test_a_fit_is_the_best_there_is():
    """Its gradient is zero, worked out in NumPy; and without a penalty's pull it separates what can be separated."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(90, 5)).astype("float32"), np.arange(90) % 3
    x[:, :3] += 2 * np.eye(3)[y]
    losses = lambda targets, logits: keras.losses.sparse_categorical_crossentropy(targets, logits, True)  # noqa: E731
    kernel, bias = probe.fit(x, y, 3, losses, 0.1)
    e = np.exp(x @ kernel + bias)
    error = e / e.sum(-1, keepdims=True) - np.eye(3)[y]
    np.testing.assert_allclose(x.T @ error / 90 + 0.1 * kernel, 0, atol=2e-4)
    np.testing.assert_allclose(error.mean(0), 0, atol=2e-4)


def test_each_picture_goes_through_the_backbone_once(monkeypatch):
    data, seen, made = load_dataset("digits"), [], prediction.predictor
    few = Arrays(data.train.images[:100], data.train.labels[:100])

    def counting(model):
        predict = made(model)
        return lambda images: seen.append(len(images)) or predict(images)

    monkeypatch.setattr(prediction, "predictor", counting)
    monkeypatch.setattr(probe, "PENALTIES", (0.1, 1.0))
    model = ResNet(8, (32, 32, 3), 10, width=0.25)
    probe.fit_head(model, dataclasses.replace(data, train=few), tasks.of(data.contract), recipes.RECIPES["probe"])
    assert sum(seen) == 100 + len(data.validation)


def test_the_penalty_is_the_best_on_validation_and_the_fit_is_of_plain_features(monkeypatch):
    data = load_dataset("digits")
    few = dataclasses.replace(data, train=Arrays(data.train.images[:100], data.train.labels[:100]))
    model, losses = ResNet(8, (32, 32, 3), 10, width=0.25), {}
    backbone, head = split(model)
    x_new = backbone.predict(normalize(data.validation.images), verbose=0)
    for penalties in ((1e-4,), (0.1,), (1e3,), (1e-4, 0.1, 1e3)):
        monkeypatch.setattr(probe, "PENALTIES", penalties)
        probe.fit_head(model, few, tasks.of(data.contract), recipes.RECIPES["probe"])
        kernel, bias = head.get_weights()
        logits = x_new @ kernel + bias
        e = np.exp(logits - logits.max(1, keepdims=True))
        right = (e / e.sum(1, keepdims=True))[np.arange(len(e)), data.validation.labels]
        losses[penalties] = -np.log(right).mean()
    assert len({*losses.values()}) == 3
    assert losses[1e-4, 0.1, 1e3] == pytest.approx(min(losses.values()), abs=1e-4)
    assert losses[0.1,] < 2.2 and losses[1e3,] == pytest.approx(
        np.log(10), abs=0.05
    )  # nothing but classes' frequencies


@pytest.mark.slow
def test_from_a_shipped_model_to_other_labels(photos, tmp_path):
    """A probe, a fine-tuning on top of frozen stages, killed and continued, and what int8 makes of it."""
    flags = ("--init=cifar10-jpeg-resnet20", f"--dataset={photos}/", "--batch_size=16")
    output = finish(tmp_path / "probe", *flags, "--recipe=probe", recipe=())
    assert "105 of 107 arrays come over; new: logits, 3 answers for its 10 of other labels, fitted to" in output
    (row,) = read_history(tmp_path / "probe" / "history.csv")
    assert row["val_accuracy"] == 1.0  # three tints
    model, origin = (
        load_model(folder / "model.keras") for folder in (tmp_path / "probe", MODELS / "cifar10-jpeg-resnet20")
    )
    old, new = weights(origin), weights(model)
    assert all(np.array_equal(old[path], new[path]) for path in old if "logits" not in path)

    flags += ("--freeze=stage3", "--epochs=2")
    output = finish(tmp_path / "tuned", *flags, recipe=())
    assert output.startswith("recipe finetune: ") and "--freeze=stage3" in output
    new = weights(load_model(tmp_path / "tuned" / "model.keras"))
    kept = [path for path in old if re.match("stem|stage2|stage3", path)]
    assert kept and all(np.array_equal(old[path], new[path]) for path in kept)
    assert "this run is finished" in finish(tmp_path / "tuned", *flags, recipe=())
    output = finish(tmp_path / "qat", f"--init={tmp_path / 'tuned'}", "--quantize=int8", "--epochs=1", recipe=())
    assert "epoch   1/1" in output


def test_the_recipe_says_what_the_origin_is(photos, tmp_path):
    finish(tmp_path / "run", "--init=digits-resnet8", f"--dataset={photos}/", "--recipe=probe", recipe=())
    recipe = runs.load_recipe(runs.Run(tmp_path / "run"))
    size = (recipe.depth, recipe.width, recipe.stem, recipe.image_size, recipe.channels)
    made = runs.load_recipe(runs.Run(MODELS / "digits-resnet8"))
    assert size == (8, made.width, "small", 32, 3)


@pytest.mark.slow
def test_epochs_follow_the_pictures(photos, tmp_path):
    flags = ("--init=cifar10-jpeg-resnet20", f"--dataset={photos}/", "--batch_size=16", "--patience=1", "--head=random")
    flags += ("--learning_rate=1e-30", "--batch_norm=frozen")  # nothing moves
    output = finish(tmp_path / "run", *flags, recipe=())
    assert "epoch   1/50" in output and "ends here: no better accuracy in 1 epochs" in output
    assert len(read_history(tmp_path / "run" / "history.csv")) == 2
    made = files.read_json(tmp_path / "run" / "recipe.json")
    assert made["recipe"]["epochs"] == made["chosen"]["epochs"] == 50
    assert "this run is finished" in finish(tmp_path / "run", *flags, recipe=())
    assert "another run is there: --epochs=7 (it has 50)" in finish(
        tmp_path / "run", *flags, "--epochs=7", status=2, recipe=()
    )


@pytest.mark.slow
def test_from_files_of_other_projects(photos, tmp_path):
    keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), classes=7).save(tmp_path / "mobile.keras")
    save_file(state_dict(18), tmp_path / "weights.safetensors")
    common = (f"--dataset={photos}/", "--recipe=probe", "--image_size=32")
    output = finish(tmp_path / "mobile", f"--init={tmp_path / 'mobile.keras'}", *common, recipe=())
    assert "260 of 262 arrays come over; new: predictions, 3 answers where it had 7, fitted" in output
    mobile = f"--init={tmp_path / 'mobile.keras'}"
    output = finish(tmp_path / "no", *common, mobile, "--freeze=stem", status=2, recipe=())
    assert "no such stage" in output and "features" not in output
    output = finish(tmp_path / "torch", f"--init=torch:{tmp_path / 'weights.safetensors'}", *common, recipe=())
    assert "100 of 102 arrays come over; new: logits, 3 answers where it had 7" in output
    model = load_model(tmp_path / "torch" / "model.keras")
    kernel = model.get_layer("stage3_block2_conv1").kernel
    np.testing.assert_array_equal(kernel, state_dict(18)["layer2.1.conv1.weight"].transpose(2, 3, 1, 0))


@pytest.mark.slow
@pytest.mark.parametrize("origin", ["keras:resnet50", "torch:weights.safetensors"])
def test_from_others_weights_to_an_int8_file(origin, photos, tmp_path):
    if origin == "keras:resnet50":
        theirs = keras.applications.ResNet50(weights=None, classifier_activation=None)
        theirs.save(tmp_path / "resnet50_weights_tf_dim_ordering_tf_kernels.h5")
        kernel = theirs.get_layer("conv4_block6_2_conv").kernel.numpy()
    else:
        state = state_dict(18, classes=1000)
        save_file(state, tmp_path / "weights.safetensors")
        kernel, origin = state["layer3.1.conv2.weight"].transpose(2, 3, 1, 0), f"torch:{tmp_path}/weights.safetensors"
    flags = (f"--dataset={photos}/", "--recipe=probe", "--image_size=32", f"--data_dir={tmp_path}")
    output = finish(tmp_path / "run", f"--init={origin}", *flags, recipe=())
    assert " arrays come over; new: logits, 3 answers where it had 1000, fitted" in output
    model = load_model(tmp_path / "run" / "model.keras")
    last = [layer for layer in model.layers if re.fullmatch(r"stage4_block\d_conv2", layer.name)][-1]
    np.testing.assert_array_equal(last.kernel, kernel)
    command = [sys.executable, "-m", "export", tmp_path / "run", "--formats=int8-ptq"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    (row,) = json.loads((tmp_path / "run" / "export" / "comparison.json").read_text())["formats"]
    assert row["float_tensors"] == 0  # how alike random networks answer says nothing


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--init=keras:resnet18",), "no such network; choose keras:resnet50, keras:resnet101"),
        (("--init=torch:weights.onnx",), "expected torch: and a file that ends in .safetensors, .pth, .pt"),
        (("--init=torch:no.pth",), "--init=torch:no.pth: no such file"),
        (("--init=resnet",), "no finished run is there (no model.keras); give a run's folder, .keras file, keras:NAME"),
        (("--init=digits-resnet9",), "keras:NAME, torch:FILE, cifar10-jpeg-resnet20, cifar10-jpeg-resnet8,"),
        (("--init=README.keras",), "no such file"),
        (("--init=keras:resnet50", "--depth=18"), "--depth=18: the network is that of --init (50); drop --depth"),
        (
            ("--init=keras:resnet50", "--quantize=int8"),
            "is no run of this data; fine-tune it first, then give that run",
        ),
        (("--freeze=stem",), "--freeze=stem: this is for a float training from weights; give --init"),
        (("--init=keras:resnet50", "--unfreeze=0.5"), "nothing is frozen; give --freeze=all with it"),
        (("--batch_norm=frozen",), "new norms have no statistics yet; give --init with it"),
        (("--optimizer=adamw",), "its rate is another; give one, as --learning_rate=0.001"),
        (("--patience=-1",), "--patience=-1: expected at least 1, or 0: never"),
    ],
)
def test_wrong_flags_fail_before_tensorflow(flags, says):
    result = told("--dataset=cifar10", *flags)
    assert result.returncode == 2 and says in result.stderr and "loaded: False" in result.stdout


def test_files_that_hold_no_weights(tmp_path):
    for name, says in (
        ("a.keras", "zip"),
        ("a.safetensors", "no weights that can"),
        ("a.pth", "no zip, .* save it anew, .*a.safetensors"),
    ):
        (tmp_path / name).write_bytes(b"\0\0\0\0\0\0\0\0 nothing")
        init = f"{tmp_path}/{name}" if name == "a.keras" else f"torch:{tmp_path}/{name}"
        with pytest.raises(ValueError, match=f"--init={init}: .*{says}"):
            origins.described(init)
