"""How much a network computes."""

import math

from keras import layers


def multiplications(model):
    """Multiply-accumulates of convolutions and dense layers for one picture, as papers count them.

    Args:
        model: functional `keras.Model` of known sides.
    """
    total = 0
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D | layers.Dense):
            places = math.prod(layer.output.shape[1:-1])
            total += places * math.prod(layer.kernel.shape)
    return total
