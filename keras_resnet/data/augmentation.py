"""What training alone does to pictures, step by step. Every draw is a function of the seed it is given.

`recipes.AUGMENTATIONS` names the steps. Those that move pixels do so by `Moves`, drawn once for a batch, which
move what is learned as well, where it lies on the picture.
"""

import math
from typing import NamedTuple

import tensorflow as tf

from keras_resnet.data import decoding, random_operations, sound_augmentation, text_augmentation
from keras_resnet.recipes import MOVED_ALONE, OF_SOUNDS

PAD = 4  # pixels on each side of a 32x32 picture, as in He et al. 2015, section 4.2
SHIFTED = 0.15  # of the sides, at most, with zoom; of the time with later
FASTER, HIGHER = 1.25, 1.1  # how many times, at most, with stretch
MIXING = {"babble"}  # what of a batch's examples depends on the others
MOVING = {"crop", "shift", "zoom", "flip", "vflip", "later", "stretch"}


class Moves(NamedTuple):
    """Where the pixels of a batch come from: what lies at `y` (in pixels, from the edge) lay at `start + step * y`.

    Attributes:
        size: (height, width) of what comes of the pictures.
        start: float32 (batch, 2), of rows and columns.
        step: float32 (batch, 2); -1 where they are mirrored.
    """

    size: tuple
    start: tf.Tensor
    step: tf.Tensor

    def moved(self, places, axis):
        """Where `places` (batch, n) of an axis, 0 for rows and 1 for columns, come to lie."""
        return (places - self.start[:, axis, None]) / self.step[:, axis, None]

    def sources(self, axis):
        """Whence the middles of an axis' pixels come, float32 (batch, pixels)."""
        middles = tf.range(self.size[axis], dtype=tf.float32) + 0.5
        return self.start[:, axis, None] + self.step[:, axis, None] * middles


def augment(images, targets, seed, steps, move=None, magnitude=9, zoom=1.4, background=None, window=None):
    """What a training step sees of a batch; the random resized crop alone comes before it, one by one.

    Args:
        images: uint8 tensor (batch, height, width, channels), contiguous examples of one step.
        targets: tensor (batch, …), what is learned of them.
        seed: int32 tensor (2,).
        steps: names of `recipes.AUGMENTATIONS`.
        move: a function of (targets, `Moves`) for targets that move with the pixels; None for those that stay.
        magnitude: RandAugment's.
        zoom: how many times larger or smaller a picture becomes at most.
        background: of log-mel pictures, pieces of noise (n, height, width, 1) that are added; None for none.
        window: (height, width) that is cut out of each picture, anywhere; None for whole ones.

    Returns:
        (images, targets) of the same shapes, or of the window's.

    Raises:
        ValueError: `move` is given with a step that moves pixels alone.
    """
    check_move(move, steps)
    if window or MOVING & set(steps):
        moves = draw_moves(images.shape[1:3], tf.shape(images)[0], seed, steps, zoom, window)
        # 128 is zero after scaling, what a convolution pads with too; before and behind a sound is silence.
        quiet = 0 if images.shape[1] > 1 else 128  # of log-mel pictures, and of waves
        fill = None if "shift" in steps else quiet if {"later", "stretch"} & set(steps) else 128
        images = moved(images, moves, fill, smooth=bool({"zoom", "stretch"} & set(steps)))
        targets = move(targets, moves) if move else targets
    # Each draws other numbers than those before it from the same seed.
    if "trivial" in steps or "rand" in steps:
        images = one_by_one(images, tf.random.fold_in(seed, 2), None if "trivial" in steps else magnitude)
    if "jitter" in steps:
        images = jitter(images, tf.random.fold_in(seed, 3))
    if "light" in steps:
        images = light(images, tf.random.fold_in(seed, 15))
    if "erase" in steps:
        images = erase(images, tf.random.fold_in(seed, 4))
    images = cutout(images, seed) if "cutout" in steps else images
    if background is not None:
        images = sound_augmentation.noise(images, tf.random.fold_in(seed, 20), background)
    for number, (name, change) in enumerate((sound_augmentation.STEPS | text_augmentation.STEPS).items(), 7):
        images = change(images, tf.random.fold_in(seed, number)) if name in steps else images
    return images, targets


def check_move(move, steps):
    """Raises ValueError where `move` is given, and steps would leave targets where they were."""
    alone = sorted({*MOVED_ALONE} & set(steps))
    if move and alone:
        raise ValueError(
            f"move with {', '.join(alone)}: they would move the pixels and not what is learned; expected steps of "
            f"{', '.join(sorted(MOVING - {*OF_SOUNDS}))} and those that move nothing"
        )


def one_by_one(images, seed, magnitude=None):
    """TrivialAugment of each picture of a batch, or RandAugment where a magnitude is given."""

    def one(pair):
        image, seed = pair
        if magnitude is None:
            return random_operations.trivial(image, seed)
        return random_operations.rand(image, seed, magnitude)

    seeds = tf.vectorized_map(lambda i: tf.random.fold_in(seed, i), tf.range(tf.shape(images)[0]))
    changed = tf.map_fn(one, (images, seeds), fn_output_signature=tf.TensorSpec(images.shape[1:], images.dtype))
    return tf.ensure_shape(changed, images.shape)


JITTER = 0.4  # by 0.6 to 1.4, as torchvision's ColorJitter(0.4, 0.4, 0.4), without hue


def jitter(images, seed):
    """Another brightness, contrast and saturation of each picture, drawn evenly from 1 - `JITTER` to 1 + `JITTER`."""
    low, high = 1 - JITTER, 1 + JITTER
    factors = tf.random.stateless_uniform((3, tf.shape(images)[0], 1, 1, 1), seed, low, high)
    x = tf.cast(images, tf.float32)
    gray = tf.reduce_sum(x * ((0.299, 0.587, 0.114) if images.shape[-1] == 3 else 1.0), -1, keepdims=True)
    x, gray = x * factors[0], gray * factors[0]
    mean = tf.reduce_mean(gray, (1, 2), keepdims=True)
    x, gray = mean + (x - mean) * factors[1], mean + (gray - mean) * factors[1]
    x = gray + (x - gray) * factors[2]
    return tf.cast(tf.clip_by_value(tf.round(x), 0.0, 255.0), tf.uint8)


GAMMA, GAIN = 2.0, 1.25  # how many times more or less, at most


def light(images, seed):
    """Another hour and another camera: of each picture the exponent of its brightness, and how strong each colour is.

    Exponents are drawn from 1 / `GAMMA` to `GAMMA`, the channels' factors from 1 / `GAIN` to `GAIN`, all evenly in
    logarithms; values beyond white are white.
    """
    gamma_seed, gain_seed = tf.unstack(tf.random.split(seed))
    batch, channels = tf.shape(images)[0], images.shape[-1]

    def drawn(shape, seed, most):
        return tf.exp(tf.random.stateless_uniform(shape, seed, -math.log(most), math.log(most)))

    x = tf.cast(images, tf.float32) / 255 * drawn((batch, 1, 1, channels), gain_seed, GAIN)
    x = tf.minimum(x, 1.0) ** drawn((batch, 1, 1, 1), gamma_seed, GAMMA)
    return tf.cast(tf.round(255 * x), tf.uint8)


ERASED, ERASED_AREA, ERASED_ASPECT = 0.25, (0.02, 1 / 3), (0.3, 1 / 0.3)


def erase(images, seed):
    """Noise in a rectangle of a quarter of the pictures (Zhong et al. 2017, https://arxiv.org/abs/1708.04896).

    Its area is 2 % to a third of the picture's, drawn evenly, its width over height 0.3 to 3.3, drawn evenly in
    logarithms; what would reach over an edge is moved inside, and a side is never longer than the picture's.
    """
    batch, height, width = tf.shape(images)[0], images.shape[1], images.shape[2]
    seeds = tf.random.split(seed, 6)
    area = tf.random.stateless_uniform((batch,), seeds[0], *ERASED_AREA) * height * width
    aspect = tf.exp(tf.random.stateless_uniform((batch,), seeds[1], *(math.log(a) for a in ERASED_ASPECT)))

    def inside(side, length, seed):
        side = tf.minimum(tf.round(side), length)
        first = tf.floor(tf.random.stateless_uniform((batch,), seed) * (length - side + 1))
        places = tf.range(length, dtype=tf.float32)[None]
        return (places >= first[:, None]) & (places < (first + side)[:, None])

    rows = inside(tf.sqrt(area / aspect), height, seeds[2])
    columns = inside(tf.sqrt(area * aspect), width, seeds[3])
    there = tf.random.stateless_uniform((batch,), seeds[4]) < ERASED
    noise = tf.cast(tf.random.stateless_uniform(tf.shape(images), seeds[5], 0, 256, tf.int32), tf.uint8)
    hidden = (rows[:, :, None] & columns[:, None, :] & there[:, None, None])[..., None]
    return tf.where(hidden, noise, images)


def mix(images, targets, seed, mixup, cutmix, repeats=1):
    """Mixup or CutMix of a batch with itself, each picture with one before it; where both are asked for, by lot.

    Zhang et al. 2017, https://arxiv.org/abs/1710.09412: the mean with one weight, drawn from Beta(alpha, alpha), for
    the whole batch. Yun et al. 2019, https://arxiv.org/abs/1905.04899: a rectangle with that part of the area, its
    centre anywhere, is the other picture's.

    Args:
        images: uint8 tensor (batch, height, width, channels).
        targets: float tensor (batch, classes).
        seed: int32 tensor (2,).
        mixup, cutmix: alphas; 0 for none, and one of them is more.
        repeats: views of a picture that come one after the other: no picture is mixed with itself.

    Returns:
        (images, targets): targets are mixed as the pixels are.
    """
    seeds = tf.random.split(tf.random.fold_in(seed, 5), 5)
    others, other_targets = (tf.roll(tensor, repeats, 0) for tensor in (images, targets))

    def weight(alpha):
        a, b = (tf.random.stateless_gamma((), seeds[i], max(alpha, 1e-3)) for i in (0, 1))
        return a / tf.maximum(a + b, 1e-12)

    def mean():
        kept = weight(mixup)
        x, other = (tf.cast(tensor, tf.float32) for tensor in (images, others))
        return tf.cast(tf.round(kept * x + (1 - kept) * other), tf.uint8), kept

    def rectangle():
        part = tf.sqrt(1 - weight(cutmix))
        inside = []
        for side, seed in zip(images.shape[1:3], (seeds[2], seeds[3]), strict=True):
            centre, half = tf.random.stateless_uniform((), seed, 0, side, tf.int32), tf.cast(part * side, tf.int32) // 2
            places = tf.range(side)
            inside.append((places >= centre - half) & (places < centre + half))
        cut = inside[0][:, None] & inside[1][None]
        return tf.where(cut[None, ..., None], others, images), 1 - tf.reduce_mean(tf.cast(cut, tf.float32))

    if mixup and cutmix:
        images, kept = tf.cond(tf.random.stateless_uniform((), seeds[4]) < 0.5, mean, rectangle)
    else:
        images, kept = mean() if mixup else rectangle()
    return images, kept * targets + (1 - kept) * other_targets


def quarters(size, batch, seed):
    """Which parts of four pictures make one: float32 (4, batch, 4), top, left, bottom, right of each.

    A mosaic (Bochkovskiy et al. 2020, https://arxiv.org/abs/2004.10934), whose parts stay where they were: half of the
    pictures are divided, at a point in their middle half each; of the others the first part is all there is.
    """
    seeds = tf.random.split(tf.random.fold_in(seed, 16))
    ends = tf.constant(tuple(size), tf.float32)
    point = tf.floor(ends * tf.random.stateless_uniform((batch, 2), seeds[0], 0.25, 0.75))
    point = tf.where(tf.random.stateless_uniform((batch, 1), seeds[1]) < 0.5, point, ends)
    first, last = (tf.zeros_like(point), point), (point, tf.ones_like(point) * ends)
    corners = [(first[i][:, :1], first[j][:, 1:], last[i][:, :1], last[j][:, 1:]) for i in (0, 1) for j in (0, 1)]
    return tf.stack([tf.concat(sides, -1) for sides in corners])


def mosaic(maps, parts):
    """Maps (batch, height, width, channels) whose `quarters` are of themselves and of the next three of the batch."""
    y, x = (tf.range(side, dtype=tf.float32)[None] for side in maps.shape[1:3])
    made = maps
    for place, part in enumerate(tf.unstack(parts)):
        top, left, bottom, right = tf.split(part, 4, -1)
        there = ((y >= top) & (y < bottom))[:, :, None] & ((x >= left) & (x < right))[:, None]
        made = tf.where(there[..., None], tf.roll(maps, -place, 0), made)
    return made


def draw_moves(size, batch, seed, steps, zoom=1.4, window=None):
    """The `Moves` of a batch: another place (`crop`, `shift`) and size (`zoom`), half of the pictures mirrored.

    Crops lie at most an eighth of the shorter side away, 4 of 32 pixels. Sizes are drawn evenly in logarithms. Sounds
    begin `later` or earlier, and are faster or slower, higher or lower (`stretch`). A `window`, (height, width), lies
    anywhere inside of the picture, or, where a zoom makes it the larger one, the picture anywhere inside of the window.
    """
    # One seed for each draw: the same seed would make offset and mirroring depend on each other.
    seeds, more = tf.random.split(seed, 3), tf.random.split(tf.random.fold_in(seed, 6), 4)
    pad = max(1, min(size) * PAD // 32) if {"crop", "shift"} & set(steps) else 0
    size = tuple(size)
    start = [tf.random.stateless_uniform((batch,), seeds[axis], 0, 2 * pad + 1, tf.int32) - pad for axis in (0, 1)]
    start, step = tf.cast(tf.stack(start, -1), tf.float32), tf.ones((batch, 2))
    time = 0 if size[0] > 1 else 1  # the axis of a log-mel picture, and of a wave
    if "zoom" in steps:
        middle = tf.constant(size, tf.float32) / 2
        step = tf.exp(tf.random.stateless_uniform((batch, 1), more[0], -math.log(zoom), math.log(zoom))) * step
        away = tf.random.stateless_uniform((batch, 2), more[1], -SHIFTED, SHIFTED) * size
        start = middle - (middle + away) * step
    if window:
        whole, size = tf.constant(size, tf.float32), tuple(window)
        place, free = tf.random.stateless_uniform((batch, 2), more[1]), whole - step * size
        start = place * free if "zoom" in steps else tf.floor(place * (free + 1))  # each whole place as often
    if "stretch" in steps:  # of time and of pitch, with a voice's resonances
        part = [
            tf.random.stateless_uniform((batch,), seeds[axis], -math.log(most), math.log(most))
            for axis, most in ((0, FASTER), (1, HIGHER))
        ]
        pace = tf.exp(tf.stack(part, -1))
        step = (pace if time == 0 else tf.stack([tf.ones_like(part[0]), pace[:, 0]], -1)) * step
        middle = [size[0] / 2, 0.0] if time == 0 else [0.0, size[1] / 2]
        start = tf.constant([middle]) * (1 - step)  # of the time the middle stays, of pitch the lowest
    if "later" in steps:
        away = tf.random.stateless_uniform((batch, 1), more[3], -SHIFTED, SHIFTED) * size[time]
        start -= tf.concat([away, tf.zeros_like(away)][:: 1 - 2 * time], 1)
    for axis, name, seed in ((1, "flip", seeds[2]), (0, "vflip", more[2])):
        if name in steps:
            mirrored = tf.random.stateless_uniform((batch, 1), seed) < 0.5
            turned = mirrored & (tf.range(2) == axis)
            start, step = tf.where(turned, start + step * size, start), tf.where(turned, -step, step)
    return Moves(size, start, step)


def moved(maps, moves, fill, smooth=False):
    """Maps (batch, height, width, channels), moved; around them is `fill` or, where that is None, their mirror.

    Each pixel is the one that its middle comes from or, where it is `smooth`, the mean of the four around, by distance.
    """
    maps = tf.convert_to_tensor(maps)
    kind = maps.dtype
    for axis in (0, 1):
        size, places = maps.shape[1 + axis], moves.sources(axis)
        if fill is not None:
            edge = [[1, 1] if i == 1 + axis else [0, 0] for i in range(4)]
            maps = tf.pad(maps, edge, constant_values=tf.cast(fill, maps.dtype))

        def at(index, maps=maps, size=size, axis=axis):
            if fill is None:  # a map's mirror is the map again beyond it
                index = index % (2 * size)
                index = tf.minimum(index, 2 * size - 1 - index)
            else:
                index = tf.clip_by_value(index + 1, 0, size + 1)
            return tf.gather(maps, index, axis=1 + axis, batch_dims=1)

        if smooth:
            first = tf.floor(places - 0.5)
            part = places - 0.5 - first
            part = part[:, :, None, None] if axis == 0 else part[:, None, :, None]
            first = tf.cast(first, tf.int32)
            low, high = (tf.cast(at(index), tf.float32) for index in (first, first + 1))
            maps = low + (high - low) * part
        else:
            maps = at(tf.cast(tf.floor(places), tf.int32))
    return tf.cast(tf.round(maps) if smooth and kind.is_integer else maps, kind)


def cutout(images, seed):
    """Hides a square of each picture, a quarter of the shorter side wide, centred anywhere in it.

    DeVries & Taylor 2017, https://arxiv.org/abs/1708.04552, with the smaller square of Page 2018 for short trainings.

    Args:
        images: uint8 tensor (batch, height, width, channels).
        seed: int32 tensor (2,).

    Returns:
        uint8 tensor of the same shape; the squares are 128, which is zero after scaling.
    """
    batch, height, width = tf.shape(images)[0], images.shape[1], images.shape[2]
    side = max(1, min(height, width) // 4)
    # Other draws than those of `draw_moves` from the same seed.
    seeds = tf.random.split(tf.random.fold_in(seed, 1), 2)

    def hidden(size, seed):
        first = tf.random.stateless_uniform((batch, 1), seed, 0, size, tf.int32) - side // 2
        places = tf.range(size)[None]
        return (places >= first) & (places < first + side)

    square = hidden(height, seeds[0])[:, :, None] & hidden(width, seeds[1])[:, None, :]
    return tf.where(square[..., None], tf.constant(128, tf.uint8), images)


def random_resized_crop(encoded, layout, picture, seed, area=(0.08, 1.0), aspect=(3 / 4, 4 / 3)):
    """Decodes only a random window of a picture and resizes it (Szegedy et al. 2014, https://arxiv.org/abs/1409.4842).

    Args:
        encoded: scalar string tensor, the picture's bytes.
        layout: `decoding.layout` of it, a scalar tensor.
        picture: the contract's `Picture`, of the result.
        seed: int32 tensor (2,).
        area: least and largest part of the picture's area.
        aspect: least and largest width / height, of the picture as it is seen.

    Returns:
        uint8 tensor (height, width, channels).
    """
    # Of a JPEG only the window is decoded; any other picture is decoded whole, once.
    in_windows = (layout > 0) & tf.io.is_jpeg(encoded)
    orientation = tf.maximum(layout, 1)  # what is decoded whole is upright
    whole = tf.cond(in_windows, lambda: tf.zeros((1, 1, 3), tf.uint8), lambda: decoding.decode_upright(encoded, layout))
    stored = tf.cond(in_windows, lambda: tf.io.extract_jpeg_shape(encoded)[:2], lambda: tf.shape(whole)[:2])
    seen = _turned_size(stored, orientation)
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.concat([seen, [3]], 0),
        tf.zeros((1, 0, 4)),
        seed,
        min_object_covered=0.0,
        area_range=area,
        aspect_ratio_range=aspect,
        max_attempts=10,
        use_image_if_no_bounding_boxes=True,
    )
    window = _stored_window(begin[:2], size[:2], seen, orientation)

    def jpeg():
        return tf.image.decode_and_crop_jpeg(encoded, window, 3, dct_method="INTEGER_ACCURATE")

    image = tf.cond(in_windows, jpeg, lambda: tf.slice(whole, begin, size))
    image = decoding.in_channels(tf.ensure_shape(image, (None, None, 3)), picture.channels)
    # Turned when it is small; the resize treats rows and columns alike.
    image = decoding.resize(image, _turned_size(picture.shape[:2], orientation))
    return tf.ensure_shape(_upright(image, orientation), picture.shape)


def _upright(image, orientation):
    """Turns a picture, a uint8 tensor (height, width, channels), upright by its EXIF orientation, 1 to 8."""
    image = tf.cond(orientation >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    return tf.reverse(image, tf.where(tf.gather(decoding.FLIPS, orientation))[:, 0])


def _turned_size(size, orientation):
    """Size (height, width) of a picture, or of an upright one that is stored so, turned by its EXIF orientation."""
    size = tf.convert_to_tensor(size)
    return tf.where(orientation >= 5, tf.reverse(size, [0]), size)  # [::-1]: TensorFlow complains on stderr


def _stored_window(begin, size, seen, orientation):
    """Where a window of an upright picture lies in the picture as it is stored: (top, left, height, width).

    Args:
        begin, size, seen: (rows, columns), int32: the window's corner and size, the upright picture's size.
        orientation: the picture's EXIF orientation, 1 to 8.
    """
    begin = tf.where(tf.gather(decoding.FLIPS, orientation), seen - begin - size, begin)
    window = tf.concat([begin, size], 0)
    return tf.where(orientation >= 5, tf.gather(window, (1, 0, 3, 2)), window)
