"""Ten steps on one or two logical CPU devices; a process of its own, since devices are fixed once TensorFlow has begun.

python tests/mirrored_steps.py one_device|mirrored PRECISION|int8 OUT.npz
"""

import sys

import keras_resnet  # noqa: F401 (sets the environment)

if __name__ == "__main__":
    import keras
    import numpy as np

    from keras_resnet import ResNet, distillation, distribution, normalization, optimization, recipes
    from keras_resnet.quantization import quantize_aware
    from keras_resnet.training import cross_entropy

    strategy, precision, out = sys.argv[1:]
    int8, precision = precision == "int8", "float32" if precision == "int8" else precision
    distribution.split_cpu(2)
    hardware = distribution.choose(strategy, precision, batch_size=32)
    recipe = recipes.Recipe(learning_rate=0.01, batch_size=32, schedule="steps", decay_at="0.9")
    # Small pictures: among the activations of larger ones some lie within rounding of zero, where a ReLU's gate flips
    # and weights jump by 1e-4; stock and fused norm on one device differ by as much there.
    rng = np.random.default_rng(0)
    images, labels = rng.normal(0, 0.5, (320, 16, 16, 3)).astype("float32"), rng.integers(0, 10, 320)
    keras.utils.set_random_seed(0)
    model = ResNet(8, (16, 16, 3), 10)
    teacher = model
    if int8:
        model = quantize_aware(model, images[:64])
    with hardware.strategy.scope():
        # Stock norms on one device: the fused kernel rounds differently in mixed precision, which is not the question.
        kind = "synchronized" if hardware.replicas > 1 else "stock"
        twin = normalization.training_twin(model, kind, precision)
        if int8:
            twin = distillation.Student(twin, [normalization.training_twin(teacher, kind)])
        optimizer = optimization.make_optimizer(recipe, 1000, precision == "mixed_float16")
        twin.compile(optimizer, cross_entropy())
    losses = []

    class Losses(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs):
            losses.append(logs["loss"])

    twin.fit(images, labels, batch_size=32, verbose=0, callbacks=[Losses()], shuffle=False)
    replicas = {}
    for variable in twin.variables:
        copies = getattr(variable.value, "values", [variable.value])
        replicas[variable.path] = max(np.abs(c.numpy() - copies[0].numpy()).max() for c in copies)
    weights = {f"after/{w.path}": normalization.value(w) for w in twin.weights}
    weights |= {f"before/{w.path}": normalization.value(w) for w in model.weights}
    np.savez(out, losses=losses, replicas=hardware.replicas, spread=max(replicas.values()), **weights)
