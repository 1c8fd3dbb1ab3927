"""Each operation against Pillow's own, which the papers used; and that what is drawn is drawn from the seed."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from keras_resnet.data import random_operations as ro


def picture(channels=3, seed=0, size=(17, 24)):
    """Smooth shapes with noise, of narrow range, so that every operation has something to do."""
    rng = np.random.default_rng(seed)
    rough = rng.integers(30, 200, (5, 6, channels), np.uint8)
    image = np.stack(
        [Image.fromarray(rough[..., c]).resize(size[::-1], Image.Resampling.BICUBIC) for c in range(channels)], -1
    )
    return np.clip(image + rng.integers(-12, 12, image.shape), 20, 220).astype(np.uint8)


def pillow(image):
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


CASES = [
    *((ro.brightness, f, lambda i, f: ImageEnhance.Brightness(i).enhance(f)) for f in (0.01, 0.6, 1.99)),
    *((ro.color, f, lambda i, f: ImageEnhance.Color(i).enhance(f)) for f in (0.01, 0.6, 1.99)),
    *((ro.contrast, f, lambda i, f: ImageEnhance.Contrast(i).enhance(f)) for f in (0.01, 0.6, 1.99)),
    *((ro.sharpness, f, lambda i, f: ImageEnhance.Sharpness(i).enhance(f)) for f in (0.01, 0.6, 1.99)),
    *((ro.posterize, bits, ImageOps.posterize) for bits in (2, 5, 8)),
    *((ro.solarize, threshold, ImageOps.solarize) for threshold in (0, 100, 255)),
    (lambda image, _: ro.autocontrast(image), None, lambda i, _: ImageOps.autocontrast(i)),
    (lambda image, _: ro.equalize(image), None, lambda i, _: ImageOps.equalize(i)),
]


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("case", range(len(CASES)))
def test_colours_are_pillows(case, channels):
    ours, argument, theirs = CASES[case]
    for seed in range(3):
        image = picture(channels, seed)
        expected = np.asarray(theirs(pillow(image), argument)).reshape(image.shape)
        difference = np.abs(ours(tf.constant(image), argument).numpy().astype(int) - expected)
        assert difference.max() <= 1 and np.mean(difference > 0) < 0.02  # a float32 beside a float64


@pytest.mark.parametrize("degrees", [17.0, -100.0, 135.0])
def test_rotation_is_pillows(degrees):
    image = picture()
    expected = np.asarray(pillow(image).rotate(degrees, Image.Resampling.NEAREST, fillcolor=(128,) * 3))
    assert np.mean(ro.rotate(tf.constant(image), degrees).numpy() == expected) > 0.99


@pytest.mark.parametrize(
    ("matrix", "offset"), [(((1, 0.4), (0, 1)), (0, 0)), (((1, 0), (-0.9, 1)), (0, 0)), (((1, 0), (0, 1)), (5, -3))]
)
def test_affine_is_pillows(matrix, offset):
    """Pillow's coefficients are of pixel corners: the centre's shift is worked out here."""
    image = picture()
    (a, b), (c, d) = matrix
    x, y = image.shape[1] / 2, image.shape[0] / 2
    data = (a, b, x - a * x - b * y + offset[0], c, d, y - c * x - d * y + offset[1])
    expected = pillow(image).transform(
        (24, 17), Image.Transform.AFFINE, data, Image.Resampling.NEAREST, fillcolor=(128,) * 3
    )
    matrix = [[float(v) for v in row] for row in matrix]
    assert np.mean(ro.affine(tf.constant(image), matrix, offset).numpy() == np.asarray(expected)) > 0.99


@pytest.mark.parametrize("kind", ["trivial", "rand"])
def test_each_operation_has_torchvisions_strength(kind, monkeypatch):
    """At half of the strength, both ways; the widths of TrivialAugmentWide and of RandAugment."""
    shear, rotate, enhance, bits = {"trivial": (0.99, 135, 0.99, 6), "rand": (0.3, 30, 0.9, 4)}[kind]
    across, down = {"trivial": (32, 32), "rand": (150 / 331 * 24, 150 / 331 * 17)}[kind]
    image, signs = tf.constant(picture()), set()
    for seed in range(8):
        s = -0.5 if tf.random.stateless_uniform((), [seed, 0]) < 0.5 else 0.5
        signs.add(s)
        expected = [
            image,
            ro.affine(image, [[1.0, shear * s], [0.0, 1.0]]),
            ro.affine(image, [[1.0, 0.0], [shear * s, 1.0]]),
            ro.affine(image, [[1.0, 0.0], [0.0, 1.0]], [float(np.trunc(across * s)), 0.0]),
            ro.affine(image, [[1.0, 0.0], [0.0, 1.0]], [0.0, float(np.trunc(down * s))]),
            ro.rotate(image, rotate * s),
            *(of(image, 1 + enhance * s) for of in (ro.brightness, ro.color, ro.contrast, ro.sharpness)),
            ro.posterize(image, 8 - bits // 2),
            ro.solarize(image, 127.5),
            ro.autocontrast(image),
            ro.equalize(image),
        ]
        for i, one in enumerate(expected):
            monkeypatch.setattr(ro.tf, "switch_case", lambda index, operations, i=i: operations[i]())
            found = ro._operation(image, [0, 0], [seed, 0], tf.constant(0.5), kind)
            differing = np.abs(found.numpy().astype(int) - one.numpy())
            assert np.mean(differing > 1) < 0.01, (i, s)
    assert signs == {-0.5, 0.5} and i == 13


def test_constant_pictures_stay():
    for value in (0, 77, 255):
        image = tf.fill((8, 8, 3), tf.constant(value, tf.uint8))
        assert (ro.autocontrast(image).numpy() == value).all() and (ro.equalize(image).numpy() == value).all()


@pytest.mark.parametrize("draw", [ro.trivial, lambda image, seed: ro.rand(image, seed, 9)])
def test_what_is_drawn_follows_the_seed_alone(draw):
    image = tf.constant(picture())
    one, again = ([draw(image, tf.constant([s, 1])).numpy() for s in range(60)] for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    changed = [not np.array_equal(a, image.numpy()) for a in one]
    assert len({a.tobytes() for a in one}) > 35 and sum(changed) > 45  # identity, and strengths of nothing, remain


def test_strengths_are_the_recipes_and_of_31_levels(monkeypatch):
    asked = []
    monkeypatch.setattr(ro, "_operation", lambda image, *how: asked.append((how[-1], float(how[-2]))) or image)
    ro.rand(None, tf.constant([0, 1]), 9)
    assert asked == [("rand", pytest.approx(0.3))] * 2
    asked.clear()
    for seed in range(200):
        ro.trivial(None, tf.constant([seed, 1]))
    assert {kind for kind, _ in asked} == {"trivial"}
    assert sorted({round(30 * strength, 4) for _, strength in asked}) == list(range(31))
