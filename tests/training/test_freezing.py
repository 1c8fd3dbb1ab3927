"""What stays, what learns and how fast: by name, and by what real steps do to the weights."""

import dataclasses
import re

import numpy as np
import pytest

from keras_resnet import recipes, runs
from keras_resnet.data.loading import load_dataset
from keras_resnet.networks.resnet import ResNet
from keras_resnet.quantization.quantizer import quantize_aware
from keras_resnet.training import freezing, trainer

INIT = "keras_resnet/models/digits-resnet8"
SHORT = dataclasses.replace(
    recipes.RECIPES["digits"], init=INIT, epochs=3, batch_size=128, learning_rate=0.05, width=1.0
)


@pytest.mark.parametrize(
    ("depth", "version", "freeze", "last"),
    [
        (8, 1, "stem", "stem_norm"),
        (8, 1, "stage3", "stage3_block1_shortcut_norm"),
        (8, 1, "all", "stage4_block1_shortcut_norm"),
        (18, 2, "stage5", "stage5_block2_conv2"),
        (18, 2, "all", "head_norm"),
    ],
)
def test_what_is_frozen(depth, version, freeze, last):
    model = ResNet(depth, (64, 64, 3), 4, version=version, width=0.1)
    names = freezing.frozen(model, dataclasses.replace(SHORT, freeze=freeze), 0)
    stages = [freezing.STAGES.index(n.split("_")[0]) if n[0] == "s" else 9 for n in names]
    learning = {layer.name for layer in model.layers if layer.weights} - names
    assert last in names and "logits" in learning
    assert all(freezing.STAGES.index(n.split("_")[0]) > max(stages) for n in learning if n.startswith("st"))


def test_unfreezing_goes_from_the_last_stage_down():
    model = ResNet(8, (32, 32, 3), 4)
    recipe = dataclasses.replace(SHORT, freeze="all", unfreeze=0.5, epochs=20)  # four stages in ten epochs
    stages = [
        {n.split("_")[0] for n in freezing.frozen(model, recipe, epoch)} for epoch in (0, 2.4, 2.5, 5, 7.5, 10, 20)
    ]
    names = ["stem", "stage2", "stage3", "stage4"]
    assert stages == [set(names[:n]) for n in (4, 4, 3, 2, 1, 0, 0)]


def test_a_stage_that_is_not_there():
    with pytest.raises(runs.RunError, match=r"--freeze=stage5: resnet8 has no such stage \(it has stem, stage2"):
        freezing.frozen(ResNet(8, (32, 32, 3), 4), dataclasses.replace(SHORT, freeze="stage5"), 0)


def test_factors_fall_block_by_block():
    model = ResNet(20, (32, 32, 3), 4)
    recipe = dataclasses.replace(SHORT, layer_decay=0.5, learning_rate=0.01, head_learning_rate=0.1)
    found = freezing.factors(model, recipe)
    assert found["logits/kernel"] == pytest.approx(10)
    assert found["stage4_block3_conv2/kernel"] == 0.5 and found["stage4_block1_norm1/gamma"] == 0.125
    assert found["stem_conv/kernel"] == 0.5**10  # nine blocks and the stem
    assert freezing.factors(model, SHORT) == {}
    second = freezing.factors(ResNet(20, (32, 32, 3), 4, version=2), dataclasses.replace(SHORT, layer_decay=0.5))
    assert second["head_norm/gamma"] == 0.5 and second["stage4_block3_conv2/kernel"] == 0.25


def trained(tmp_path, name, **fields):
    """(weights by path before, after, the trainer) of a short training on real digits."""
    recipe = dataclasses.replace(SHORT, **fields)
    one = trainer.Trainer(recipe, runs.Run(tmp_path / name), 300, load_dataset("digits"))
    before = {v.path: v.numpy() for v in one.twin.layers[-1].variables}
    one.fit()
    return before, {v.path: v.numpy() for v in one.twin.layers[-1].variables}, one


def test_what_is_frozen_does_not_move_and_has_no_place_in_the_optimizer(tmp_path):
    before, after, one = trained(tmp_path, "frozen", freeze="stage3", weight_decay=0.1)
    moved = {path for path in before if not np.array_equal(before[path], after[path])}
    assert {re.split("[_/]", path)[0] for path in moved} == {"stage4", "logits"}
    assert {re.split("[_/]", path)[0] for path in before} == {"stem", "stage2", "stage3", "stage4", "logits"}
    assert any("moving_mean" in path for path in moved)
    assert len(one.optimizer.variables) == 1 + len([p for p in moved if "moving" not in p])


def test_frozen_norms_keep_their_statistics_and_learn_their_scales(tmp_path):
    before, after, _ = trained(tmp_path, "norms", batch_norm="frozen")
    moved = {path.split("/")[1] for path in before if not np.array_equal(before[path], after[path])}
    assert moved == {"kernel", "gamma", "beta", "bias"}


def test_stages_join_one_after_another(tmp_path):
    """Of three epochs: the head alone, then two stages with it, then all."""
    before, after, one = trained(tmp_path, "joined", freeze="all", unfreeze=1.0)
    assert freezing.frozen(one.model, one.recipe, 0) > freezing.frozen(one.model, one.recipe, 1)
    assert all(not np.array_equal(before[p], after[p]) for p in before if p.startswith("stage4") and "kernel" in p)
    assert np.array_equal(before["stem_conv/kernel"], after["stem_conv/kernel"])


def test_the_last_layer_learns_at_its_own_rate(tmp_path):
    one = trained(tmp_path, "slow", head_learning_rate=1e-9, epochs=1, momentum=0.0, dropout=0.1)
    two = trained(tmp_path, "fast", epochs=1, momentum=0.0)
    steps = [np.abs(after["logits/kernel"] - before["logits/kernel"]).max() for before, after, _ in (one, two)]
    assert steps[0] < 1e-6 < 1e-4 < steps[1]


def test_ranges_learn_faster_than_weights():
    pictures = np.zeros((2, 16, 16, 3), "float32")
    model = quantize_aware(ResNet(8, (16, 16, 3), 4, width=0.25), pictures, learn_ranges=True)
    found = freezing.factors(model, dataclasses.replace(SHORT, ranges="learned"))
    assert set(found.values()) == {freezing.RANGES} and freezing.RANGES > 100
    assert {path for path in found if "stem" in path} == {"stem_conv/kernel_range", "stem_relu_range/growth"}
