"""TrivialAugment and RandAugment: Pillow's operations on single pictures, drawn from a seed.

Müller & Hutter 2021, https://arxiv.org/abs/2103.10158: one operation of fourteen, of any strength. Cubuk et al. 2019,
https://arxiv.org/abs/1909.13719: two of them, of one strength. Pictures are uint8 tensors (height, width, channels);
pixels that come from outside are 128, which is zero after scaling.
"""

import math

import tensorflow as tf

OUTSIDE = 128
# Strengths as in torchvision: the widest of TrivialAugment, "wide"; RandAugment's at magnitude 30 of 30.
SHEAR, TRANSLATE, ROTATE = {"trivial": 0.99, "rand": 0.3}, {"trivial": 32.0, "rand": None}, {"trivial": 135, "rand": 30}
ENHANCE, BITS = {"trivial": 0.99, "rand": 0.9}, {"trivial": 6, "rand": 4}
RAND_OPERATIONS, LEVELS = 2, 31


def trivial(image, seed):
    """TrivialAugment of one picture; `seed` is int32 (2,)."""
    seeds = tf.random.split(seed, 3)
    level = tf.random.stateless_uniform((), seeds[1], 0, LEVELS, tf.int32)
    return _operation(image, seeds[0], seeds[2], tf.cast(level, tf.float32) / (LEVELS - 1), "trivial")


def rand(image, seed, magnitude):
    """RandAugment of one picture, at a magnitude of 0 to 30."""
    for i in range(RAND_OPERATIONS):
        seeds = tf.random.split(tf.random.fold_in(seed, i), 2)
        image = _operation(image, seeds[0], seeds[1], tf.constant(magnitude / (LEVELS - 1)), "rand")
    return image


def _operation(image, choice_seed, sign_seed, strength, kind):
    """One operation of fourteen, of a strength from 0 to 1, its direction drawn."""
    height, width, _ = image.shape
    sign = tf.where(tf.random.stateless_uniform((), sign_seed) < 0.5, -1.0, 1.0)
    signed = strength * sign
    across, down = (TRANSLATE[kind] or 150 / 331 * side for side in (width, height))
    factor = 1 + signed * ENHANCE[kind]
    bits = 8 - tf.cast(tf.round(strength * BITS[kind]), tf.int32)
    operations = [
        lambda: image,
        lambda: affine(image, [[1.0, SHEAR[kind] * signed], [0.0, 1.0]]),
        lambda: affine(image, [[1.0, 0.0], [SHEAR[kind] * signed, 1.0]]),
        lambda: affine(image, [[1.0, 0.0], [0.0, 1.0]], [whole(across * signed), 0.0]),
        lambda: affine(image, [[1.0, 0.0], [0.0, 1.0]], [0.0, whole(down * signed)]),
        lambda: rotate(image, ROTATE[kind] * signed),
        lambda: brightness(image, factor),
        lambda: color(image, factor),
        lambda: contrast(image, factor),
        lambda: sharpness(image, factor),
        lambda: posterize(image, bits),
        lambda: solarize(image, 255.0 * (1 - strength)),
        lambda: autocontrast(image),
        lambda: equalize(image),
    ]
    return tf.switch_case(tf.random.stateless_uniform((), choice_seed, 0, len(operations), tf.int32), operations)


def affine(image, matrix, offset=(0.0, 0.0)):
    """Each pixel is the nearest one of where `matrix` and `offset` take it, (x, y) from the picture's centre."""
    height, width, _ = image.shape
    (a, b), (c, d) = matrix
    x, y = (width - 1) / 2, (height - 1) / 2
    transform = [a, b, x - a * x - b * y + offset[0], c, d, y - c * x - d * y + offset[1], 0.0, 0.0]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=tf.stack([tf.cast(t, tf.float32) for t in transform])[None],
        output_shape=(height, width),
        interpolation="NEAREST",
        fill_mode="CONSTANT",
        fill_value=float(OUTSIDE),
    )[0]


def whole(pixels):
    """Without what lies behind the point, as torchvision moves pictures."""
    return tf.sign(pixels) * tf.floor(tf.abs(pixels))


def rotate(image, degrees):
    """Counterclockwise about the centre."""
    radians = degrees * (math.pi / 180)
    return affine(image, [[tf.cos(radians), tf.sin(-radians)], [tf.sin(radians), tf.cos(radians)]])


def blend(plain, image, factor):
    """From `plain`, floats, at 0 to the picture at 1, and beyond it."""
    mixed = plain + factor * (tf.cast(image, tf.float32) - plain)
    return tf.cast(tf.clip_by_value(mixed, 0.0, 255.0), tf.uint8)


def brightness(image, factor):
    return blend(0.0, image, factor)


def gray(image):
    """Pillow's brightness of a picture, int32 (height, width, 1)."""
    if image.shape[-1] == 1:
        return tf.cast(image, tf.int32)
    weighted = tf.reduce_sum(tf.cast(image, tf.int32) * tf.constant([19595, 38470, 7471]), -1, keepdims=True)
    return (weighted + 0x8000) // 0x10000


def color(image, factor):
    return blend(tf.cast(gray(image), tf.float32), image, factor)


def contrast(image, factor):
    return blend(tf.floor(tf.reduce_mean(tf.cast(gray(image), tf.float32)) + 0.5), image, factor)


def sharpness(image, factor):
    kernel = tf.constant([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]]) / 13
    kernel = tf.tile(kernel[:, :, None, None], (1, 1, image.shape[-1], 1))
    inner = tf.nn.depthwise_conv2d(tf.cast(image, tf.float32)[None], kernel, (1, 1, 1, 1), "VALID")[0]
    inner = tf.floor(inner + 0.5)
    edge = tf.pad(tf.ones_like(inner), [(1, 1), (1, 1), (0, 0)])  # the border stays as it is
    smooth = tf.where(edge > 0, tf.pad(inner, [(1, 1), (1, 1), (0, 0)]), tf.cast(image, tf.float32))
    return blend(smooth, image, factor)


def posterize(image, bits):
    """Keeps the highest `bits` of each value."""
    return image // tf.cast(2 ** (8 - bits), tf.uint8) * tf.cast(2 ** (8 - bits), tf.uint8)


def solarize(image, threshold):
    """Inverts what is at least as bright as the threshold."""
    return tf.where(tf.cast(image, tf.float32) < threshold, image, 255 - image)


def autocontrast(image):
    """Stretches each channel to 0 … 255."""
    values = tf.cast(image, tf.float32)
    low, high = tf.reduce_min(values, (0, 1)), tf.reduce_max(values, (0, 1))
    scale = tf.where(high > low, 255.0 / tf.maximum(high - low, 1.0), 1.0)
    stretched = tf.floor(values * scale + tf.where(high > low, -low * scale, 0.0))
    return tf.cast(tf.clip_by_value(stretched, 0.0, 255.0), tf.uint8)


def equalize(image):
    """Spreads each channel's values evenly, as Pillow counts."""

    def channel(values):
        counts = tf.math.bincount(tf.cast(tf.reshape(values, (-1,)), tf.int32), minlength=256, maxlength=256)
        last = tf.gather(counts, tf.reduce_max(tf.where(counts > 0)))
        step = (tf.reduce_sum(counts) - last) // 255
        table = tf.minimum((tf.cumsum(counts, exclusive=True) + step // 2) // tf.maximum(step, 1), 255)
        return tf.where(step > 0, tf.cast(tf.gather(table, tf.cast(values, tf.int32)), tf.uint8), values)

    return tf.stack([channel(image[..., i]) for i in range(image.shape[-1])], -1)
