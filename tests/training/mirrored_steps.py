"""Ten steps on one or two logical CPU devices; a process of its own, since devices are fixed once TensorFlow has begun.

python tests/training/mirrored_steps.py FOLDER STRATEGY-PRECISION …     # each writes FOLDER/STRATEGY-PRECISION.npz

The strategies are one_device, mirrored, per_replica and by_hand; `int8` is a precision of the first two.
`per_replica` has a teacher, as int8 has. `by_hand` is the same in a loop of its own on one device: the halves of each
batch one after the other, gradients and statistics averaged by NumPy.
"""

import contextlib
import sys

import keras_resnet  # noqa: F401 (sets the environment)

if __name__ == "__main__":
    import keras
    import numpy as np
    import tensorflow as tf

    from keras_resnet import ResNet, recipes
    from keras_resnet.networks.weights import value
    from keras_resnet.quantization.quantizer import quantize_aware
    from keras_resnet.tasks.losses import classification
    from keras_resnet.training import distillation, distribution, normalization, optimization

    def steps_by_hand(student, images, labels):
        """Returns the losses of the steps; a batch has two halves."""
        norms = [w for w in student.non_trainable_weights if "moving" in w.path]
        losses = []
        for i in range(0, len(images), 32):
            before = [value(w) for w in norms]
            halves = []
            for half in (slice(i, i + 16), slice(i + 16, i + 32)):
                for weight, old in zip(norms, before, strict=True):
                    weight.assign(old)
                with tf.GradientTape() as tape:
                    logits = student(images[half], training=True)
                    loss = student.compute_loss(images[half], labels[half], logits)
                gradients = tape.gradient(loss, [w.value for w in student.trainable_weights])
                halves.append([loss.numpy(), *(g.numpy() for g in gradients), *map(value, norms)])
            loss, *means = (np.mean(pair, 0) for pair in zip(*halves, strict=True))
            student.optimizer.apply([tf.constant(g) for g in means[: -len(norms)]], student.trainable_weights)
            for weight, mean in zip(norms, means[-len(norms) :], strict=True):
                weight.assign(mean)
            losses.append(loss)
        return np.cumsum(losses) / np.arange(1, len(losses) + 1)  # as Keras tells them

    def ten_steps(strategy, precision, out):
        int8, precision = precision == "int8", "float32" if precision == "int8" else precision
        halves = strategy in ("per_replica", "by_hand")
        hardware = distribution.choose(
            {"per_replica": "mirrored", "by_hand": "one_device"}.get(strategy, strategy),
            precision,
            batch_norm="per_replica" if halves else "auto",
            batch_size=32,
        )
        recipe = recipes.Recipe(learning_rate=0.01, batch_size=32, schedule="steps", decay_at="0.9")
        # Small pictures: among the activations of larger ones some lie within rounding of zero, where a ReLU's gate
        # flips and weights jump by 1e-4; stock and fused norm on one device differ by as much there.
        rng = np.random.default_rng(0)
        images, labels = rng.normal(0, 0.5, (320, 16, 16, 3)).astype("float32"), rng.integers(0, 10, 320)
        keras.utils.clear_session()  # names begin anew
        keras.utils.set_random_seed(0)
        model = ResNet(8, (16, 16, 3), 10)
        teacher = model
        if int8:
            with hardware.strategy.scope():  # as people may well call it
                learning = {"learn_ranges": True, "learn_norms": True}
                model = quantize_aware(model, images[:64].clip(-1, 127 / 128), **learning)
        with contextlib.nullcontext() if strategy == "by_hand" else hardware.strategy.scope():
            # Stock norms on one device: the fused kernel rounds otherwise in mixed precision, no question here.
            kind = hardware.norm if hardware.replicas > 1 or halves else "stock"
            twin = normalization.training_twin(model, kind, precision)
            if int8 or halves:
                twin = distillation.Student(twin, [normalization.training_twin(teacher, kind, precision)])
            optimizer = optimization.make_optimizer(recipe, 1000, precision == "mixed_float16")
            twin.compile(optimizer, classification())
        losses = []

        class Losses(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs):
                losses.append(logs["loss"])

        if strategy == "by_hand":
            losses = steps_by_hand(twin, images, labels)
        else:
            twin.fit(images, labels, batch_size=32, verbose=0, callbacks=[Losses()], shuffle=False)
        replicas = {}
        for variable in twin.variables:
            copies = getattr(variable.value, "values", [variable.value])
            replicas[variable.path] = max(np.abs(c.numpy() - copies[0].numpy()).max() for c in copies)
        weights = {f"after/{w.path}": value(w) for w in twin.weights}
        weights |= {f"before/{w.path}": value(w) for w in model.weights}
        np.savez(out, losses=losses, replicas=hardware.replicas, spread=max(replicas.values()), **weights)

    distribution.split_cpu(2)
    for job in sys.argv[2:]:
        ten_steps(*job.split("-"), f"{sys.argv[1]}/{job}.npz")
