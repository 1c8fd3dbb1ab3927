"""What stands for intersection over union where it is learned: the Lovász-Softmax loss.

Berman et al. 2018, https://arxiv.org/abs/1705.08790.
"""

import tensorflow as tf


def lovasz(targets, logits):
    """The mean, over the classes that are there, of what extends 1 - IoU from answers to probabilities.

    Args:
        targets: int32 tensor (cells,), of a whole batch; as many as there are classes, or more, where nothing is known.
        logits: float32 tensor (cells, classes).

    Returns:
        A scalar tensor in [0, 1]; 0 where nothing is known.
    """
    classes = logits.shape[-1]
    known = tf.cast(targets < classes, tf.float32)
    there = tf.transpose(tf.one_hot(targets, classes))  # of what is unknown no class
    errors = tf.abs(there - tf.transpose(tf.nn.softmax(logits))) * known
    errors, order = tf.math.top_k(errors, tf.shape(errors)[-1])
    there = tf.gather(there, order, axis=-1, batch_dims=1)
    total = tf.reduce_sum(there, -1, keepdims=True)
    union = total + tf.cumsum(1 - there, -1)
    lost = 1 - (total - tf.cumsum(there, -1)) / union
    steps = tf.stop_gradient(lost - tf.pad(lost, [[0, 0], [1, 0]])[:, :-1])
    is_there = tf.cast(total[:, 0] > 0, tf.float32)
    return tf.reduce_sum(tf.reduce_sum(errors * steps, -1) * is_there) / tf.maximum(tf.reduce_sum(is_there), 1.0)
