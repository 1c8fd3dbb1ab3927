"""A model's logits, batch by batch, on every device that it was made for."""

import tensorflow as tf

LARGEST_BATCH = 256


def batch_size(recipe):
    """Pictures a batch: the training's, since what fits with gradients fits without; more than 256 gain nothing."""
    return min(recipe.batch_size, LARGEST_BATCH)


def predictor(model, xla=False):
    """Makes a function from pictures, a tensor (n, height, width, channels), to logits, NumPy (n, classes).

    On several replicas each computes its part; several machines are all asked for the same. A batch is filled up to a
    multiple of them, and what was filled in is dropped again: oneDNN aborts the process for a part without a picture.

    Args:
        model: functional `keras.Model`; the strategy in whose scope it was made says which devices compute.
        xla: whether XLA compiles it; for one device only.
    """
    strategy = model.distribute_strategy
    replicas = strategy.num_replicas_in_sync
    shape, dtype = model.input_shape[1:], model.inputs[0].dtype
    elsewhere = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)

    def part(parts):
        context = tf.distribute.get_replica_context()
        made = model(parts[context.replica_id_in_sync_group], training=False)
        return context.all_gather(made, 0) if elsewhere else made

    @tf.function(input_signature=[tf.TensorSpec((replicas, None, *shape), dtype)], jit_compile=xla)
    def logits(parts):
        made = strategy.experimental_local_results(strategy.run(part, (parts,)))
        return made[0] if elsewhere else tf.concat(made, 0)

    def predict(images):
        filled = tf.pad(images, [(0, -len(images) % replicas)] + [(0, 0)] * len(shape))
        return logits(tf.reshape(filled, (replicas, -1, *filled.shape[1:]))).numpy()[: len(images)]

    return predict
