"""float16's scaled steps on two logical CPU devices, of whose gradients one is infinite; prints what each step did.

A process of its own, since devices are fixed once TensorFlow has begun.
"""

import json

import keras_resnet  # noqa: F401 (sets the environment)

if __name__ == "__main__":
    import keras
    import numpy as np
    import tensorflow as tf

    from keras_resnet.networks.weights import value
    from keras_resnet.recipes import Recipe
    from keras_resnet.training import distribution, optimization

    distribution.split_cpu(2)
    strategy = distribution.choose("mirrored", "mixed_float16").strategy
    with strategy.scope():
        weight = keras.Variable(np.ones(2))
        recipe = Recipe(momentum=0.0, weight_decay=0.0, schedule="steps", warmup=0.0)
        optimizer = optimization.make_optimizer(recipe, 1000, mixed_float16=True)
        optimizer.build([weight])
    scale = float(value(optimizer.dynamic_scale))
    done = []
    for infinite in (0, 1, None):  # replica

        @tf.function
        def step(infinite=infinite):
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            gradient = scale * tf.ones(2) if infinite is None else tf.where(replica == infinite, np.inf, tf.ones(2))
            optimizer.apply([gradient], [weight])

        strategy.run(step)
        scales, steps = value(optimizer.dynamic_scale), value(optimizer.inner_optimizer._iterations)
        done.append([float(scales) / scale, int(steps), *value(weight).tolist()])
    print(json.dumps(done))
