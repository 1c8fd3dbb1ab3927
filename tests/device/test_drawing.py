"""Answers drawn over pictures, and what is written beside them, read back."""

import numpy as np
import pytest
from PIL import Image

from keras_resnet.device import drawing
from keras_resnet.device.boxes import Found
from keras_resnet.device.classes import Likeliest
from keras_resnet.device.mask import Masked
from keras_resnet.device.predict import coco_results

GRAY = Image.new("RGB", (120, 90), (100, 100, 100))
FOUND = Found(["b", "a"], [0.9, 0.5], np.float32([[20, 30, 60, 80], [-5, -5, 40, 200]]))


def test_boxes_are_where_they_were_found():
    pixels = np.asarray(drawing.drawn(GRAY, FOUND, ("a", "b")))
    assert pixels.shape == (90, 120, 3)
    first, second = (drawing.PALETTE[i] for i in (1, 0))
    for row, column in ((60, 50), (40, 30), (59, 80)):
        assert tuple(pixels[row, column]) == first  # the box's lower, left and right edge
    assert tuple(pixels[40, 10]) == second  # of the box that reaches over three edges, the one inside
    for row, column in ((50, 55), (70, 110), (80, 10)):
        assert tuple(pixels[row, column]) == (100, 100, 100)  # inside of a box, and outside of all
    assert np.asarray(GRAY).max() == 100  # the picture itself stays
    nothing = Found([], [], np.zeros((0, 4), np.float32))
    np.testing.assert_array_equal(drawing.drawn(GRAY, nothing, ("a",)), GRAY)


def masked():
    mask = np.zeros((90, 120), np.uint8)
    mask[:, 60:] = 1
    mask[:10] = 255
    return Masked(mask, ("a", "b"), ((200, 0, 0), (0, 10, 255)))


def test_masks_tint_the_picture_and_are_named_below():
    shown = drawing.drawn(GRAY, masked(), ("a", "b"))
    pixels = np.asarray(shown)
    assert pixels.shape[0] > 90 and pixels.shape[1] == 120
    for place, colour in (((50, 10), (200, 0, 0)), ((50, 100), (0, 10, 255))):
        np.testing.assert_allclose(pixels[place], 0.45 * 100 + 0.55 * np.array(colour), atol=0.51)
    assert tuple(pixels[5, 5]) == (100, 100, 100)  # no class is known there
    below = pixels[90:].reshape(-1, 3)
    assert {(200, 0, 0), (0, 10, 255), (255, 255, 255)} <= {tuple(pixel) for pixel in below.tolist()}
    assert below.max(-1).min() < 60  # the names


def test_classes_are_named_below():
    pixels = np.asarray(drawing.drawn(GRAY, Likeliest([("cat", 0.9), ("dog", 0.1)]), ("cat", "dog")))
    np.testing.assert_array_equal(pixels[:90], GRAY)
    assert pixels.shape[0] > 100 and pixels[90:].min() == 0


def test_a_map_is_read_back_as_it_was(tmp_path):
    drawing.label_map(masked()).save(tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as image:
        assert image.mode == "P" and image.getpalette()[:6] == [200, 0, 0, 0, 10, 255]
        np.testing.assert_array_equal(image, masked().mask)


def test_pictures_are_written_under_the_names_of_theirs(tmp_path):
    folder = drawing.Folder(tmp_path / "new" / "out", ["a/x.jpg", "b/x.png"])
    for source, name in (("a/x.jpg", "x.png"), ("b/x.png", "x_2.png"), ("c/y.webp", "y.png")):
        assert folder.save(GRAY, source) == tmp_path / "new" / "out" / name
    assert drawing.Folder(tmp_path / "one.jpg", ["a/x.png"]).save(GRAY, "a/x.png") == tmp_path / "one.jpg"
    with pytest.raises(ValueError, match=r"one\.jpg: a file for several pictures; give a folder"):
        drawing.Folder(tmp_path / "one.jpg", ["a/x.png", "b/x.png"])
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file: expected a folder, or a file that ends in"):
        drawing.Folder(tmp_path / "file", ["a.png"])
    (tmp_path / "out.png").mkdir()
    assert (
        drawing.Folder(tmp_path / "out.png", ["a.png", "b.png"]).save(GRAY, "a.png") == tmp_path / "out.png" / "a.png"
    )
    with pytest.raises(ValueError, match=r"x\.jpg: it can't be written \(cannot write mode RGBA as JPEG\)"):
        drawing.Folder(tmp_path / "x.jpg", ["a.png"]).save(Image.new("RGBA", (3, 3)), "a.png")
    assert not list(tmp_path.rglob(".*"))  # nothing half-written
    for out, sources in (
        (tmp_path, ["a.png"]),
        (tmp_path / "a.png", ["a.png"]),
        (f"{tmp_path}/new/..", ["a.png", "b.png"]),
    ):
        with pytest.raises(ValueError, match=r"the pictures themselves lie there|that is the picture itself"):
            drawing.Folder(out, [tmp_path / source for source in sources])


def test_results_are_cocos():
    results = coco_results("folder/000000397133.jpg", FOUND, ("a", "b"))
    assert results[0] == {"image_id": 397133, "category_id": 2, "bbox": [30, 20, 50, 40], "score": 0.9}
    assert coco_results("cell.png", FOUND, ("a", "b"))[1]["image_id"] == "cell"
