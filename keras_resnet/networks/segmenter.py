"""A segmenter: a feature pyramid on a residual backbone, and logits of each class in each of its finest cells.

Kirillov et al. 2019, https://arxiv.org/abs/1901.02446, one path of it; what the whole picture shows scales the deepest
map's channels, as in Yu et al. 2018, https://arxiv.org/abs/1808.00897 (BiSeNet).
"""

import keras
from keras import layers

from keras_resnet.networks import blocks, pyramid


def segmenter(backbone, classes, filters=64, stride=4, name=None):
    """Builds a segmenter on a backbone, whose weights it shares.

    Args:
        backbone: what `ResNet(…, features=True)` makes, for pictures of a fixed size.
        classes: how many.
        filters: of the pyramid; below stride 4 half as many, at least 16.
        stride: of the logits; one of the backbone's maps has it, or its stem before pooling.
        name: of the model; by default the backbone's, with `_segmenter`.

    Returns:
        A `keras.Model` from scaled pictures to float32 logits (batch, rows, columns, classes), as `device.mask.Mask`
        decodes them: no resize is in it.

    Raises:
        ValueError: the backbone has no map of this stride, or takes pictures of any size.
    """
    maps = pyramid.by_stride(backbone)
    if stride not in maps:
        raise ValueError(f"stride={stride}: expected one of {', '.join(map(str, maps))}")
    style, x = blocks.Style(), None
    for level in sorted(maps, reverse=True):
        if level < stride:
            break
        deepest = x is None
        if level < 4:  # four times as many cells
            filters = max(16, filters // 2)
            x = pyramid.unit(x, filters, 1, f"pyramid{level}_narrow", style)
        x = pyramid.merged(x, maps[level], filters, f"pyramid{level}", style)
        if deepest:
            x = blocks.squeeze_excite(x, 0.25, "context", style)
    x = pyramid.unit(x, filters, 3, "mask_conv", style)
    small = keras.initializers.RandomNormal(stddev=0.01)
    logits = layers.Conv2D(classes, 1, kernel_initializer=small, name="logits", dtype="float32")(x)
    return keras.Model(backbone.input, logits, name=name or f"{backbone.name}_segmenter")
