"""Training pictures that grow: what the network sees, and that validation sees whole ones."""

import dataclasses

import numpy as np

from keras_resnet import recipes, runs
from keras_resnet.data.loading import load_dataset
from keras_resnet.training import trainer


def test_the_last_epoch_is_full_of_however_few():
    for epochs in (1, 2, 3, 8, 40):
        recipe = recipes.Recipe(progressive=0.5, epochs=epochs)
        assert recipes.sides(recipe, (32, 32), epochs - 1) is None


def test_an_epoch_has_its_size_and_validation_the_full_one(tmp_path):
    recipe = dataclasses.replace(recipes.RECIPES["digits"], epochs=4, progressive=0.5, batch_size=16)
    one = trainer.Trainer(recipe, runs.Run(tmp_path / "run"), 300, load_dataset("digits"))
    sizes = [next(iter(one.batches(epoch, 0)))[0].shape[1:3] for epoch in range(4)]
    assert sizes == [(16, 16), (24, 24), (24, 24), (32, 32)]
    small, large = (next(iter(one.batches(epoch, 0)))[0].numpy().mean() for epoch in (0, 3))
    assert abs(small - large) < 20  # the same kind of picture, resized
    assert next(iter(one.validation))[0].shape[:3] == (16, 32, 32)  # what fits with gradients fits without
    one.fit()
    assert one.progress.history[-1]["val_accuracy"] > 0.5
    assert one.model.input_shape == (None, 32, 32, 3)
    pictures, labels = next(iter(one.data.evaluation("validation", 1000)))
    right = np.mean(one.model(pictures).numpy().argmax(-1) == labels.numpy())
    assert right == max(row["val_accuracy"] for row in one.progress.history)
