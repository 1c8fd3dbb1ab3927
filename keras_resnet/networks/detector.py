"""A detector: a feature pyramid on a residual backbone, and heads that say of each cell which classes, and which box.

Heads of their own for classes and for boxes, and for each level, without a box's quality: after Ge et al. 2021,
https://arxiv.org/abs/2107.08430 (YOLOX). The scores begin as rare as Lin et al. 2017 have them,
https://arxiv.org/abs/1708.02002.
"""

import math

import keras
from keras import layers

from keras_resnet.networks import blocks, pyramid

RARE = 0.01  # probability of each class at the start
SIZE = 4.0  # sides of a box at the start, in strides


def detector(backbone, classes, strides=(8,), filters=64, name=None):
    """Builds a detector on a backbone, whose weights it shares.

    Args:
        backbone: what `ResNet(…, features=True)` makes, for pictures of a fixed size.
        classes: how many.
        strides: of the levels that answer, the finest first; each is one of the backbone's maps.
        filters: of the pyramid and the heads.
        name: of the model; by default the backbone's, with `_detector`.

    Returns:
        A `keras.Model` from scaled pictures to two outputs, float32: `location` (batch, cells, 4) and `score`, logits
        (batch, cells, classes), as `device.boxes.Boxes` decodes them, level by level.

    Raises:
        ValueError: the backbone has no maps of these strides, or pictures of any size.
    """
    maps = pyramid.by_stride(backbone)
    if unknown := [stride for stride in strides if stride not in maps] or list(strides) != sorted(set(strides)):
        had = ", ".join(map(str, maps))
        raise ValueError(
            f"strides={strides}: expected some of {had}, growing, odd: {unknown}; this network's maps have no other "
            "(--strides says which find boxes, --stem=imagenet makes coarser maps)"
        )
    style, x, locations, scores = blocks.Style(), None, [], []
    for stride in sorted(maps, reverse=True):
        if stride < strides[0]:
            break
        x = pyramid.merged(x, maps[stride], filters, f"pyramid{stride}", style)
        if stride in strides:
            locations.insert(0, _head(x, 4, f"location{stride}", style, (0.0, 0.0, math.log(SIZE), math.log(SIZE))))
            scores.insert(0, _head(x, classes, f"score{stride}", style, (-math.log(1 / RARE - 1),) * classes))
    outputs = [_joined(locations, "location"), _joined(scores, "score")]
    return keras.Model(backbone.input, outputs, name=name or f"{backbone.name}_detector")


def levels(backbone, strides=(8,)):
    """(rows, columns, stride) of each level, as `device.boxes.Boxes` has them."""
    maps = pyramid.by_stride(backbone)
    return tuple((*maps[stride].shape[1:3], stride) for stride in strides)


def _head(x, channels, name, style, start):
    """Two convolutions of three by three, and what they say of each cell, (batch, cells, channels)."""
    for i in (1, 2):
        x = pyramid.unit(x, x.shape[-1], 3, f"{name}_conv{i}", style)
    bias = keras.initializers.Constant(start)
    small = keras.initializers.RandomNormal(stddev=0.01)
    x = layers.Conv2D(
        channels, 1, kernel_initializer=small, bias_initializer=bias, name=f"{name}_cells", dtype="float32"
    )(x)
    return layers.Reshape((-1, channels), name=f"{name}_flat", dtype="float32")(x)


def _joined(parts, name):
    """Levels one after the other, under a name of their own."""
    if len(parts) > 1:
        return layers.Concatenate(1, name=name, dtype="float32")(parts)
    return layers.Identity(name=name, dtype="float32")(parts[0])
