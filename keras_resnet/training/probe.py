"""A linear probe: the last layer fitted to the features before it, which are computed once."""

import dataclasses

import numpy as np
import scipy.optimize
import tensorflow as tf
from tqdm import tqdm

from keras_resnet.networks import prediction
from keras_resnet.networks.transfer import split
from keras_resnet.training import normalization

# Features are kept of so many training pictures, 400 MB of a ResNet-50's.
MOST = 50_000
# Of the penalty on standardized features: the one whose loss on the validation pictures is the least is taken.
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
LEAST_SPREAD = 0.1  # of a feature, beside the median one


def fit_head(model, data, task, recipe):
    """Sets the weights of a model's last layer to the best ones on the features of the training pictures.

    Pictures are prepared as for evaluation. The loss is the task's without smoothed labels, and convex: the fit does
    not depend on where it begins.

    Args:
        model: functional `keras.Model` that ends in a dense layer.
        data: `Data`; its validation pictures choose the penalty.
        task: what is learned.
        recipe: `Recipe`; its seed draws `MOST` pictures where there are more.
    """
    backbone, head = split(model)
    predict = prediction.predictor(normalization.from_pixels(backbone))
    batch = prediction.batch_size(recipe)
    train = data.evaluation("train", batch, pixels=True)
    if len(data.train) > MOST:
        train = data.training(batch, recipe.seed, epoch=0, pixels=True).take(MOST // batch)
    known, validation = (
        features(predict, pictures, name)
        for name, pictures in (("training", train), ("validation", data.evaluation("validation", batch, pixels=True)))
    )
    center, spread = known[0].mean(0), known[0].std(0)
    # What hardly varies in a few pictures would get weights so large that the first fine-tuned steps break the answers.
    spread = np.maximum(spread, LEAST_SPREAD * np.median(spread)) + 1e-6
    (x, y), (x_new, y_new) = (((f - center) / spread, targets) for f, targets in (known, validation))
    losses, best = task.loss(dataclasses.replace(recipe, label_smoothing=0.0), known[1]), None
    for penalty in PENALTIES:
        kernel, bias = fit(x, y, head.units, losses, penalty)
        loss = float(np.mean(losses(tf.constant(y_new), tf.constant(x_new @ kernel + bias))))
        if best is None or loss < best[0]:
            best = loss, kernel / spread[:, None], bias - (center / spread) @ kernel
    head.set_weights(best[1:])


def features(predict, batches, name):
    """(float32 (n, features), targets (n, …)) of pictures, batch by batch, with a bar."""
    found = [(predict(images), labels.numpy()) for images, labels in tqdm(batches, f"features, {name}", leave=False)]
    return tuple(np.concatenate(part) for part in zip(*found, strict=True))


def fit(x, targets, units, losses, penalty):
    """The dense layer with the least mean loss plus `penalty` / 2 times its squared kernel (L-BFGS).

    Args:
        x: float32 (n, features).
        targets: (n, …), as `losses` takes them.
        units: outputs of the layer.
        losses: function of targets and logits (n, units), a value for each example; convex in the logits.
        penalty: positive.

    Returns:
        float32 kernel (features, units), bias (units,).
    """
    x, targets = tf.constant(x, tf.float32), tf.constant(targets)
    shape = (x.shape[1] + 1, units)

    @tf.function
    def value_and_gradient(flat):
        with tf.GradientTape() as tape:
            tape.watch(flat)
            weights = tf.cast(tf.reshape(flat, shape), tf.float32)
            value = tf.reduce_mean(losses(targets, x @ weights[:-1] + weights[-1]))
            value += penalty / 2 * tf.reduce_sum(weights[:-1] ** 2)
        return value, tape.gradient(value, flat)

    def objective(flat):
        value, gradient = value_and_gradient(tf.constant(flat))
        return float(value), gradient.numpy()

    found = scipy.optimize.minimize(objective, np.zeros(np.prod(shape)), jac=True, method="L-BFGS-B")
    weights = found.x.astype(np.float32).reshape(shape)
    return weights[:-1], weights[-1]
