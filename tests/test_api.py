"""The package from Python: the same answer of a model, a run and a file; one's own data and network."""

import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_resnet
from keras_resnet import Classes, Contract, Picture, Recipe
from keras_resnet.data import given
from keras_resnet.device.labels import Labels

ROOT = pathlib.Path(__file__).parents[1]
DIGIT = ROOT / "docs" / "digit_3.png"
ASSET = ROOT / "android_demo/app/src/main/assets/models/digits-resnet8.tflite"
CONTRACT = Contract(Picture(16, 16, 3), Classes(("dark", "bright")))
RECIPE = Recipe(epochs=2, batch_size=20, augmentation="crop,flip", learning_rate=0.05)


def examples(count=200):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, count)
    return (rng.integers(0, 100, (count, 16, 16, 3)) + 150 * labels[:, None, None, None]).astype(np.uint8), labels


def network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(inputs)
    return keras.Model(inputs, keras.layers.Dense(2, name="logits")(keras.layers.GlobalAveragePooling2D()(x)))


def test_a_model_a_run_and_a_file_answer(finished):
    named = keras_resnet.load("digits-resnet8").predict_picture(DIGIT)
    assert named == keras_resnet.load(finished).predict_picture(str(DIGIT))
    assert named.top[0][0] == "3" and len(named.top) == 5 and str(named).startswith("3   ")
    with open(DIGIT, "rb") as file:
        quantized = keras_resnet.load(ASSET).predict_picture(file, top=1)
    assert quantized.top[0][0] == "3" and quantized.top[0][1] == pytest.approx(named.top[0][1], abs=0.02)
    for name, sentence in (("resnet9", "models that are here: cifar10"), (DIGIT, "no such run, file or model")):
        with pytest.raises(ValueError, match=sentence):
            keras_resnet.load(name)
    with pytest.raises(ValueError, match=r"nowhere\.png"):
        keras_resnet.load(ASSET).predict_picture("nowhere.png")


def test_arrays_train_resume_and_report(tmp_path):
    images, labels = examples()
    data = ((images[:120], labels[:120]), (images[120:160], labels[120:160]), (images[160:], labels[160:]))
    model = keras_resnet.train(RECIPE, data, CONTRACT, network(), tmp_path / "run", split="test")
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["test"]["images"] == 40 and "validation" not in report
    assert [layer.name for layer in model.network.layers][1] == "conv"  # the given network
    again = keras_resnet.train(RECIPE, data, CONTRACT, network(), tmp_path / "run", split="test")
    for ours, theirs in zip(model.network.get_weights(), again.network.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)
    changed = (images[:120], 1 - labels[:120])
    (tmp_path / "run" / "history.csv").unlink()  # so that it is not finished
    with pytest.raises(ValueError, match="its data set has changed"):
        keras_resnet.train(RECIPE, (changed, *data[1:]), CONTRACT, network(), tmp_path / "run")


class Sequence(keras.utils.PyDataset):
    def __init__(self, images, labels):
        super().__init__()
        self.images, self.labels, self.ends = images, labels, 0

    def on_epoch_end(self):
        self.ends += 1

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return self.images[index * 20 : index * 20 + 20], self.labels[index * 20 : index * 20 + 20]


@pytest.mark.parametrize("kind", ["batches", "examples", "unknown size", "PyDataset"])
def test_pipelines_train(tmp_path, kind):
    images, labels = examples()
    pairs = tf.data.Dataset.from_tensor_slices((images, labels))
    if kind == "batches":
        pairs = pairs.batch(16)
    if kind == "unknown size":
        pairs = pairs.filter(lambda image, label: True)
    if kind == "PyDataset":
        pairs = Sequence(images, labels)
    keras_resnet.train(RECIPE, (pairs, pairs), CONTRACT, network(), tmp_path / "run")
    recipe = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert recipe["pictures"] == {"train": 200, "validation": 200, "test": 0}
    assert recipe["data"]["train"] == "200 of a pipeline"
    if kind == "PyDataset":
        assert pairs.ends >= 3
    history = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert len(history) == 3 and history[2].split(",")[1] == "20"  # two epochs of ten steps


def test_what_is_refused(tmp_path):
    images, labels = examples(40)
    both = ((images, labels), (images, labels))
    scaled = images.astype(np.float32) / 128 - 1
    foreign = Contract(Picture(16, 16, 3, mean=127.5, std=127.5), CONTRACT.output)
    for arguments, sentence in (
        ({"data": ((scaled, labels), both[1]), "contract": CONTRACT}, "train has pictures of float32"),
        ({"data": both[:1], "contract": CONTRACT}, "got 1 parts"),
        ({"data": both}, "data with its contract or neither"),
        ({"data": both, "contract": foreign}, "leave mean and std at 128"),
        ({"data": both, "contract": CONTRACT, "model": keras_resnet.ResNet(8)}, "give the one that belongs to it"),
    ):
        with pytest.raises(ValueError, match=sentence):
            keras_resnet.train(RECIPE, run_dir=tmp_path / "run", **arguments)
        assert not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match="expected run_dir"):
        keras_resnet.train("digits")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda x, y: (x, y + 1),
            "1 to 2 for 200 pictures, expected a class for each picture, integers .* from 0 to 1",
        ),
        (lambda x, y: (x, y - 1), "-1 to 0"),
        (lambda x, y: (x, y + 0.5), "float64"),
        (lambda x, y: (x, np.eye(2)[y]), "float64"),
        (lambda x, y: (x, y[:100]), r"\(100,\)"),
        (lambda x, y: (x[:0], y[:0]), "for 0 pictures"),
        (lambda x, y: (x, y, y), "no pair of pictures and targets"),
        (lambda x, y: tf.data.Dataset.from_tensor_slices((x, y)).repeat(), "never ends"),
        (lambda x, y: tf.data.Dataset.from_tensor_slices((x, y * 1.0)).batch(4), "targets of float64"),
        (lambda x, y: tf.data.Dataset.from_tensor_slices((x, y, y)), "no pair"),
    ],
)
def test_targets_that_are_none_of_the_contracts(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        given.make((examples(), change(*examples())), CONTRACT)


def test_targets_as_keras_and_others_have_them():
    images, labels = examples(20)
    for targets in (labels[:, None], labels.astype(np.uint8), labels.astype(bool), labels.tolist()):
        assert given.make(((images, targets),) * 2, CONTRACT).train.labels.tolist() == labels.tolist()
    pairs = tf.data.Dataset.from_tensor_slices((images, labels[:, None])).batch(8)
    batch = next(given.make((pairs, pairs), CONTRACT).training(20, 0, 0).as_numpy_iterator())
    assert batch[1].tolist() == labels.tolist()
    several = Contract(CONTRACT.input, Labels(("dark", "bright")))
    hot = np.eye(2, dtype=int)[labels]
    assert given.make(((images, hot),) * 2, several).train.labels.tolist() == hot.tolist()
    pairs = tf.data.Dataset.from_tensor_slices((images, hot.astype(bool)))
    for part in (pairs, pairs.batch(8)):
        data = given.make((part, part), several)
        learned = next(data.training(20, 0, 0).as_numpy_iterator())[1]
        assert learned.dtype == np.uint8 and learned.tolist() == hot.tolist()
    for wrong in (hot * 255, hot * 2 - 1, hot * 0.5, labels):
        with pytest.raises(ValueError, match="expected 0 or 1 for each of 2 labels"):
            given.make(((images, wrong),) * 2, several)
    with pytest.raises(ValueError, match="leave mean and std at 128, and scores"):
        given.make(((images, labels),) * 2, Contract(CONTRACT.input, Classes(("a", "b"), "probabilities")))


def test_a_pipeline_goes_on_at_its_step():
    images, labels = examples(40)
    images[:, 0, 0, 0] = np.arange(40)
    pairs = tf.data.Dataset.from_tensor_slices((images, labels))
    data = given.make((pairs, pairs), CONTRACT)
    batches = [x[:, 0, 0, 0].tolist() for x, _ in data.training(10, 0, 0, 2, pixels=True).as_numpy_iterator()]
    assert batches == [[*range(20, 30)], [*range(30, 40)]]
    how = {"augment": ("crop", "flip"), "pixels": True}
    whole = list(data.training(10, 0, 0, **how).as_numpy_iterator())
    part = list(data.training(10, 0, 0, 1, part=(1, 2), **how).as_numpy_iterator())
    for (images, labels), (all_images, all_labels) in zip(part, whole[1:], strict=True):
        np.testing.assert_array_equal(images, all_images[5:])
        np.testing.assert_array_equal(labels, all_labels[5:])


def test_an_own_network_goes_on_in_the_same_process(tmp_path):
    images, labels = examples()
    data = ((images[:120], labels[:120]), (images[120:], labels[120:]))

    def unnamed():
        inputs = keras.Input((16, 16, 3))
        return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))

    keras_resnet.train(RECIPE, data, CONTRACT, unnamed(), tmp_path / "run")
    (tmp_path / "run" / "history.csv").unlink()  # as if it had been cut off before its last line
    keras_resnet.train(RECIPE, data, CONTRACT, unnamed(), tmp_path / "run")
    with pytest.raises(ValueError, match="none was given"):
        keras_resnet.train(RECIPE, data, CONTRACT, unnamed(), tmp_path / "run", split="test")


def test_the_contract_of_older_versions_is_the_same():
    from keras_resnet import ImageContract

    old = ImageContract(16, 16, 3, ["dark", "bright"], crop_fraction=0.5)
    assert old == Contract(Picture(16, 16, 3, 0.5), CONTRACT.output)
    path = ROOT / "keras_resnet" / "models" / "digits-resnet8" / "contract.json"
    assert ImageContract.load(path).shape == (32, 32, 3)
