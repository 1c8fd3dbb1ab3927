"""Every optimizer on one and on two logical CPU devices, clipped and averaged; prints how they differ.

A process of its own, since devices are fixed once TensorFlow has begun.
"""

import json

import keras_resnet  # noqa: F401 (sets the environment)

if __name__ == "__main__":
    import keras
    import numpy as np

    from keras_resnet.networks.weights import value
    from keras_resnet.recipes import Recipe
    from keras_resnet.tasks.losses import classification
    from keras_resnet.training import averaging, distribution, optimization

    distribution.split_cpu(2)
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(96, 6, 6, 2)).astype("float32"), rng.integers(0, 3, 96)

    def trained(optimizer, strategy):
        """Weights, and their average, after twelve batches, and how far the replicas lie apart."""
        recipe = Recipe(optimizer=optimizer, learning_rate=0.02, clip=0.05, weight_decay=0.1, schedule="steps")
        with distribution.choose(strategy).strategy.scope():
            keras.utils.set_random_seed(0)
            image = keras.Input((6, 6, 2))
            x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, activation="tanh")(image))
            model = keras.Model(image, keras.layers.Dense(3, name="logits")(x))
            model.compile(optimization.make_optimizer(recipe, 1000), classification())
            average = averaging.Average(model, 0.9)
        follow = averaging.Following(average, 0)
        model.fit(images, labels, batch_size=8, shuffle=False, verbose=0, callbacks=[follow])
        variables = [*model.weights, *(v for _, v in average.variables)]
        copies = [[c.numpy() for c in getattr(v.value, "values", [v.value])] for v in variables]
        spread = max(np.abs(c - of[0]).max() for of in copies for c in of)
        return np.concatenate([value(v).ravel() for v in variables]), float(spread)

    found = {}
    for name in optimization.OPTIMIZERS:
        (one, _), (two, spread) = (trained(name, strategy) for strategy in ("one_device", "mirrored"))
        half = len(one) // 2
        found[name] = {
            "difference": float(np.abs(one - two).max()),
            "spread": spread,
            "average_behind": float(np.abs(one[:half] - one[half:]).max()),
        }
    print(json.dumps(found))
