"""The contract's output `mask`: scores to the picture's size, worked out by hand and beside loops."""

import json

import numpy as np
import pytest
from PIL import Image

from keras_resnet.device import contract
from keras_resnet.device.contract import Contract
from keras_resnet.device.mask import Mask, palette
from keras_resnet.device.picture import Picture, Place

TWO = Mask(("low", "high"), (2, 3))


def slow(scores, height, width):
    """The rule, pixel by pixel, in Python's numbers."""
    rows, columns, classes = scores.shape
    made = np.zeros((height, width), int)
    for i in range(height):
        for j in range(width):
            y, x = i * (rows - 1) / max(1, height - 1), j * (columns - 1) / max(1, width - 1)
            top, left = min(int(y), rows - 1), min(int(x), columns - 1)
            bottom, right, y, x = min(top + 1, rows - 1), min(left + 1, columns - 1), y - top, x - left
            best = []
            for k in range(classes):
                first = scores[top, left, k] + (scores[bottom, left, k] - scores[top, left, k]) * y
                last = scores[top, right, k] + (scores[bottom, right, k] - scores[top, right, k]) * y
                best.append(first + (last - first) * x)
            made[i, j] = int(np.argmax(best))
    return made


@pytest.mark.parametrize("size", [(2, 3), (7, 11), (1, 1), (30, 4)])
def test_masks_beside_loops(size):
    rng = np.random.default_rng(0)
    for shape in ((2, 3, 4), (5, 6, 3), (1, 1, 2)):
        scores = rng.normal(0, 1, shape)
        np.testing.assert_array_equal(
            Mask(tuple("abcd"[: shape[-1]]), shape[:2]).decode(scores, *size), slow(scores, *size)
        )


def test_worked_out_by_hand():
    """Corners lie on corners: of five pixels over three cells the second lies half way between the first two."""
    scores = np.zeros((2, 3, 2))
    scores[..., 1] = [[-1, 3, 3], [-4, -4, -4]]
    np.testing.assert_array_equal(TWO.decode(scores, 1, 5), [[0, 1, 1, 1, 1]])  # the first row alone
    np.testing.assert_array_equal(TWO.decode(scores, 3, 3), [[0, 1, 1], [0, 0, 0], [0, 0, 0]])
    assert (TWO.decode(np.zeros((2, 3, 2)), 4, 4) == 0).all()  # of equal scores the first class's
    whole = TWO.decode(scores, 9, 16)
    steps = np.round(scores / 0.25).astype(np.int8)
    np.testing.assert_array_equal(TWO.decode(steps, 9, 16), whole)  # an int8 file's own numbers give the same mask
    with pytest.raises(ValueError, match="no number"):
        TWO.decode(np.full((2, 3, 2), np.nan), 4, 4)


@pytest.mark.parametrize(
    ("size", "crop", "shown"),
    [
        ((20, 30), 1.0, ((0, 0), (20, 30))),
        ((40, 60), 1.0, ((0, 0), (40, 60))),
        ((20, 90), 1.0, ((0, 30), (20, 60))),
        ((40, 30), 1.0, ((10, 0), (30, 30))),
        ((20, 30), 0.5, ((5, 8), (15, 22))),
        ((20, 90), "stretch", ((0, 0), (20, 90))),
        ((40, 30), "stretch", ((0, 0), (40, 30))),
    ],
)
def test_a_mask_lies_where_the_input_does(size, crop, shown):
    fit = {"resize": crop} if crop == "stretch" else {"crop_fraction": crop}
    place = Place(Picture(20, 30, 3, **fit), size)
    found = place.shown
    assert np.abs(np.subtract(found, shown)).max() <= 1
    scores = np.zeros((2, 3, 2))
    scores[..., 1] = 1
    masked = TWO.answer(scores, place=place)
    assert masked.mask.shape == size and masked.mask.dtype == np.uint8
    (top, left), (bottom, right) = found
    assert (masked.mask[top:bottom, left:right] == 1).all()
    assert (masked.mask == 255).sum() == size[0] * size[1] - (bottom - top) * (right - left)
    parts = masked.as_json()["parts"]
    assert [part["label"] for part in parts] == ["high"]
    assert parts[0]["part"] == pytest.approx((masked.mask == 1).mean(), abs=1e-6)
    assert masked.as_rows() == [["high", f"{parts[0]['part']:.6f}"]] and masked.as_lines()[0].startswith("high  ")


def test_a_contract_keeps_it():
    mask = Mask(("a", "b"), (5, 4), [[1, 2, 3], [4, 5, 6]])
    saved = json.loads(json.dumps(Contract(Picture(20, 16, 3), mask).as_json()))
    assert contract.parse(saved).output == mask and saved["output"]["kind"] == "mask"
    assert mask.shapes == [(5, 4, 2)]
    del saved["output"]["colours"]
    assert contract.parse(saved).output.colours == palette(2)
    assert len(set(palette(40))) == 40


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"size": (0, 3)}, "size="),
        ({"size": (3,)}, "size="),
        ({"labels": ()}, "0 classes: expected 1 to 255"),
        ({"colours": ((1, 2, 3),)}, "1 colours for 2 classes"),
        ({"colours": ((1, 2, 3), (1, 2, 256))}, "not three bytes each"),
    ],
)
def test_what_no_mask_can_be(changed, said):
    with pytest.raises(ValueError, match=said):
        Mask(**{"labels": ("a", "b"), "size": (2, 3), **changed})


def test_pixels_of_a_picture_find_their_class():
    """A picture of two halves, of which the scores are the picture's own, resized: the mask is the picture."""
    picture = Picture(16, 24, 1)
    pixels = np.zeros((32, 48), np.uint8)
    pixels[:, 20:] = 255
    given = picture.pixels(Image.fromarray(pixels))[..., 0].astype(float)
    scores = np.stack([255 - given, given], -1)[::4, ::4]  # a stride of 4
    masked = Mask(("dark", "light"), scores.shape[:2]).answer(scores, place=Place(picture, (32, 48)))
    assert (masked.mask == (pixels > 0)).mean() > 0.9
