"""A feature pyramid on a residual backbone: Lin et al. 2016, https://arxiv.org/abs/1612.03144."""

import math
import re

from keras import layers

from keras_resnet.networks import blocks


def by_stride(backbone):
    """Stride -> feature map of a backbone, also of its unpooled stem, the finest first; of equal ones the deepest.

    Raises:
        ValueError: it takes pictures of any size.
    """
    size, maps, stride = backbone.input_shape[1:3], {}, 1
    if None in backbone.input_shape[1:]:
        raise ValueError(f"{backbone.name} takes {backbone.input_shape[1:]}; a pyramid wants pictures of a fixed size")
    pooled = [layer.input for layer in backbone.layers if layer.name in ("stem_pool", "stem_pool_pad")][:1]
    for made in (*pooled, *backbone.output.values()):
        # A map's sides are the picture's, divided and rounded up, so that those of a small one may be of several.
        tried = (stride * 2**i for i in range(8))
        stride = next(s for s in tried if made.shape[1:3] == tuple(math.ceil(side / s) for side in size))
        maps[stride] = made
    return maps


def unit(x, filters, kernel, name, style):
    """Convolution, norm and ReLU."""
    x = blocks.norm(blocks.conv(x, filters, kernel, 1, name, style), f"{name}_norm", style)
    return blocks.relu(x, f"{name}_relu", style)


def merged(above, x, filters, name, style):
    """A level of the pyramid: the backbone's map, and the level above it, as large as that."""
    x = unit(x, filters, 1, f"{name}_lateral", style)
    if above is None:
        return x
    above = layers.UpSampling2D(2, name=f"{name}_up")(above)  # of Resizing XLA has no gradient
    rows, columns = (big - small for big, small in zip(above.shape[1:3], x.shape[1:3], strict=True))
    if rows or columns:
        above = layers.Cropping2D(((0, rows), (0, columns)), name=f"{name}_crop")(above)
    return unit(layers.Add(name=f"{name}_add")([above, x]), filters, 3, f"{name}_smooth", style)


def fits(model, size):
    """Whether a network takes pictures of this (height, width), too, with its cells where they are on its own.

    Each halving pads a map of an odd side otherwise than one of an even side, and its pyramid cuts fixed numbers of
    cells off: so sides differ by multiples of its coarsest cells. An int8 one takes none: it resizes to fixed sizes.
    """
    steps = [(layer, match) for layer in model.layers if (match := re.fullmatch(r"pyramid(\d+)_up", layer.name))]
    coarsest = max((2 * int(match[1]) for _, match in steps), default=4)
    return all(isinstance(layer, layers.UpSampling2D) for layer, _ in steps) and all(
        (whole - side) % coarsest == 0 for whole, side in zip(model.input_shape[1:3], size, strict=True)
    )
