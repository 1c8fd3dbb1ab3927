"""`ResNet`: every residual network of the papers from one function, as one flat Keras functional graph.

Layers have stable names (`stage2_block1_conv1`), so that weights move between models by name.
"""

import math

import keras
from keras import layers

from keras_resnet import depths
from keras_resnet.depths import layout
from keras_resnet.networks import blocks

CHOICES = {
    "version": (1, 2),
    "stem": ("imagenet", "small", "deep"),
    "shortcut": ("projection", "A", "none", "pool"),
    "padding": ("same", "symmetric"),
    "activation": ("relu", "relu6"),
    "stride_conv": ("3x3", "1x1"),
    "stride_block": ("first", "last"),
}


def ResNet(  # noqa: N802 (a model constructor, capitalized as in keras.applications)
    depth=50,
    input_shape=(224, 224, 3),
    num_classes=1000,
    *,
    width=1.0,
    version=1,
    stem=None,
    shortcut="projection",
    padding="same",
    activation="relu",
    stride_conv="3x3",
    stride_block="first",
    se=0.0,
    blur=False,
    axes=2,
    pixel_mean=None,
    stem_bias=False,
    include_top=True,
    features=False,
    dtype=None,
    name=None,
):
    """Builds a residual network (He et al. 2015 and 2016), randomly initialized.

    Args:
        depth: 18, 34, 50, 101, 152 (ImageNet family), 6n+2 (CIFAR family: 8, 20, 32, 44, 56, 110 …), or a
            `depths.Layout` for a stack of your own. Wide ResNet-28-10 is `depth=26, width=10, version=2` but for
            its stem, which is widened here too.
        input_shape: (height, width, channels). Height and width may be None where `stem` is given.
        num_classes: logits.
        width: multiplies every layer's filters.
        version: 1, ReLU after the addition, or 2, pre-activation.
        stem: `"imagenet"` (7x7/2, then 3x3/2 max-pooling), `"deep"` (three 3x3 in place of 7x7: ResNet-C's and D's, He
            et al. 2018) or `"small"` (3x3/1); by default `"small"` where the shorter side is below 64 pixels.
        shortcut: `"projection"` (1x1 convolution where shapes change, option B), `"pool"` (behind average pooling:
            ResNet-D's), `"A"` (zero-padded identity) or `"none"`, the plain network that the paper compares with.
        padding: `"same"`, or `"symmetric"`, which pads stride-2 windows on all sides, as PyTorch and
            keras.applications do: their weights need it.
        activation: `"relu"` or `"relu6"`.
        stride_conv: which convolution of a bottleneck carries the stride: `"3x3"` ("v1.5") or `"1x1"` (the paper).
        stride_block: which block of a stage carries the stride: `"first"`, or `"last"` as in keras.applications' V2
            (version 2 only; the last stage then has none).
        se: squeeze-and-excitation in each block, of this part of its filters, as 0.25; 0 for none.
        blur: a low-pass filter before every other pixel is left out (Zhang 2019), in pooling, blocks and shortcuts.
        axes: along which it looks and strides: 2; 1, columns alone, for sequences (1, length, channels); 0 for vectors,
            as of all pixels of a picture: its layers are dense then, a residual MLP.
        pixel_mean: a pixel, one value a channel in 0 to 255, that is subtracted from the picture before anything else:
            other projects' weights were trained so, and zero-padding is that pixel to them. `zoo` gives it.
        stem_bias: whether the first convolution has a bias, as in keras.applications' V2, where no norm follows it.
        include_top: False ends at the last stage's feature map.
        features: True returns every stage's feature map in a dict, `{"C2": …, "C3": …}`, the names of the feature
            pyramid paper; C2 has stride 4 behind an ImageNet stem, 1
            behind a small one (twice that with `stride_block="last"`).
        dtype: Keras dtype policy of all layers but the logits, which are float32 always.
        name: of the model; by default `resnet50`, `resnet50v2` ….

    Returns:
        A `keras.Model` from `contract.normalize`d pictures (batch, height, width, channels) to float32 logits
        (batch, num_classes), or to feature maps.

    Raises:
        ValueError: an argument makes no network; the message says what would.
    """
    block, repeats, filters = layout(depth)
    _check(locals())
    stem = stem or default_stem(input_shape, axes)
    style = blocks.Style(padding, activation, shortcut, se, blur, axes, dtype)
    make_block = blocks.pre_activation_block if version == 2 else blocks.post_activation_block
    make_convs = {"basic": blocks.basic, "bottleneck": blocks.bottleneck}[block]

    image = keras.Input(input_shape, name="image")
    x = image
    if pixel_mean is not None:
        x = layers.Rescaling(1.0, [1 - mean / 128 for mean in pixel_mean], name="stem_mean", dtype=dtype)(x)
    if not axes and math.prod(input_shape[:2]) > 1:
        x = layers.Reshape((1, 1, math.prod(input_shape)), name="vector", dtype=dtype)(x)
    x = _stem(x, stem, _widen(filters, width), version, style, stem_bias)
    maps = {}
    for stage, repeat in enumerate(repeats, 2):
        f = _widen(filters * 2 ** (stage - 2), width)
        for i in range(1, repeat + 1):
            strides = _strides(stage, i, repeats, stride_block)
            x = make_block(x, make_convs(f, strides, stride_conv), f"stage{stage}_block{i}", style)
        maps[f"C{stage}"] = x
    if version == 2:
        x = maps[f"C{stage}"] = blocks.relu(blocks.norm(x, "head_norm", style), "head_relu", style)
    if features:
        x = maps
    elif include_top:
        x = layers.GlobalAveragePooling2D(name="head_pool", dtype=dtype)(x)
        x = layers.Dense(num_classes, name="logits", dtype="float32")(x)
    return keras.Model(image, x, name=name or _name(depth, version))


def default_stem(input_shape, axes=2):
    """The stem of a size, where one is known; see `depths.stem`."""
    sides = [side for side in input_shape[2 - axes : 2] if side]
    if not axes:
        return "small"
    if not sides:
        raise ValueError(f"input_shape={input_shape}: the stem follows from the size; give stem='imagenet' or 'small'")
    return depths.stem("auto", sides)


def _stem(x, stem, filters, version, style, bias=False):
    kernel, strides = (7, 2) if stem == "imagenet" else (3, 1)
    if stem == "deep":
        for i, step in ((1, 2), (2, 1)):
            x = blocks.conv(x, max(1, filters // 2), 3, step, f"stem_conv{i}", style)
            x = blocks.relu(blocks.norm(x, f"stem_norm{i}", style), f"stem_relu{i}", style)
    x = blocks.conv(x, filters, kernel, strides, "stem_conv", style, bias=bias)
    if version == 1:
        x = blocks.relu(blocks.norm(x, "stem_norm", style), "stem_relu", style)
    if stem != "small" and style.blur:
        x = layers.MaxPooling2D(style.along(3), 1, "same", name="stem_pool", dtype=style.dtype)(x)
        x = blocks.blur(x, "stem_pool", style)
    elif stem != "small":
        padding = style.padding
        if padding == "symmetric":
            edge = [side // 2 for side in style.along(3)]
            x = layers.ZeroPadding2D(edge, name="stem_pool_pad", dtype=style.dtype)(x)
            padding = "valid"
        x = layers.MaxPooling2D(style.along(3), style.along(2), padding, name="stem_pool", dtype=style.dtype)(x)
    return x


def _strides(stage, block, repeats, stride_block):
    """2 in the one block of a stage that halves the resolution: the first stage's stem has done that already."""
    if stride_block == "last":
        return 2 if block == repeats[stage - 2] and stage - 1 < len(repeats) else 1
    return 2 if block == 1 and stage > 2 else 1


def _widen(filters, width):
    return max(1, round(filters * width))


def _name(depth, version):
    return (f"resnet{depth}" if isinstance(depth, int) else "resnet") + ("v2" if version == 2 else "")


def _check(given):
    """Raises ValueError for arguments that make no network."""
    for argument, choices in CHOICES.items():
        value = given[argument]
        if value not in choices and not (argument == "stem" and value is None):
            raise ValueError(f"{argument}={value!r}: choose {' or '.join(repr(c) for c in choices)}")
    shape, depth = given["input_shape"], given["depth"]
    if len(shape) != 3 or not all(n is None or n > 0 for n in shape) or not shape[2]:
        raise ValueError(f"input_shape={shape}: expected (height, width, channels), as (224, 224, 3)")
    if given["num_classes"] < 1:
        raise ValueError(f"num_classes={given['num_classes']}: expected at least 1")
    if not given["width"] > 0:
        raise ValueError(f"width={given['width']}: expected a positive factor, as 0.5 or 2")
    if given["stride_block"] == "last" and given["version"] != 2:
        raise ValueError("stride_block='last' is keras.applications' version 2; give version=2 with it")
    axes = given["axes"]
    if axes not in (0, 1, 2) or (axes == 1 and shape[0] != 1) or (not axes and None in shape):
        wanted = {0: "0 axes want a size that is known", 1: "1 axis wants (1, length, channels)"}
        raise ValueError(f"axes={axes}, input_shape={shape}: {wanted.get(axes, 'choose 0, 1 or 2')}")
    if not axes and (given["blur"] or given["shortcut"] == "pool" or given["stem"] not in (None, "small")):
        raise ValueError("axes=0: a vector has no neighbours; leave out blur, shortcut='pool' and another stem")
    stem = given["stem"] or default_stem(shape, axes)
    least = 2 ** (len(given["repeats"]) - 1) * (1 if stem == "small" else 4)
    if any(side is not None and side < least for side in shape[2 - axes : 2]):
        small = "" if stem == "small" else ", or give stem='small'"
        raise ValueError(
            f"input_shape={shape}: depth {depth} with the {stem} stem divides each side by {least}; "
            f"give at least {'x'.join([str(least)] * axes)} pixels{small}"
        )


def resnet18(**arguments):
    return ResNet(18, **arguments)


def resnet34(**arguments):
    return ResNet(34, **arguments)


def resnet50(**arguments):
    return ResNet(50, **arguments)


def resnet101(**arguments):
    return ResNet(101, **arguments)


def resnet152(**arguments):
    return ResNet(152, **arguments)


def resnet8(input_shape=(32, 32, 3), num_classes=10, **arguments):
    return ResNet(8, input_shape, num_classes, **arguments)


def resnet20(input_shape=(32, 32, 3), num_classes=10, **arguments):
    return ResNet(20, input_shape, num_classes, **arguments)


def resnet32(input_shape=(32, 32, 3), num_classes=10, **arguments):
    return ResNet(32, input_shape, num_classes, **arguments)


def resnet44(input_shape=(32, 32, 3), num_classes=10, **arguments):
    return ResNet(44, input_shape, num_classes, **arguments)


def resnet56(input_shape=(32, 32, 3), num_classes=10, **arguments):
    return ResNet(56, input_shape, num_classes, **arguments)


def resnet110(input_shape=(32, 32, 3), num_classes=10, **arguments):
    return ResNet(110, input_shape, num_classes, **arguments)
