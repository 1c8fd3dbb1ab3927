"""Each augmented picture is a window of its original, and every draw follows from the seed."""

import io

import numpy as np
import tensorflow as tf
from PIL import Image

from keras_resnet import augmentation, preprocessing
from keras_resnet.preprocessing import ImageContract

CONTRACT = ImageContract(16, 16, 3, ("a", "b"))


def pictures(n=200, side=32):
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3), np.uint8)


def seed(a=0, b=0):
    return tf.constant([a, b], tf.int32)


class CropAndFlipTest(tf.test.TestCase):
    def places(self, original, augmented):
        """(top, left, mirrored) of each window, found by trying all of them."""
        found = []
        padded = np.pad(original, ((0, 0), (4, 4), (4, 4), (0, 0)), constant_values=128)
        for big, small in zip(padded, augmented, strict=True):
            windows = [
                (top, left, mirrored)
                for top in range(9)
                for left in range(9)
                for mirrored in (False, True)
                if np.array_equal(big[top : top + 32, left : left + 32][:, :: -1 if mirrored else 1], small)
            ]
            self.assertLen(windows, 1)
            found += windows
        return np.array(found)

    def test_windows_of_the_padded_picture(self):
        original = pictures()
        places = self.places(original, augmentation.crop_and_flip(original, seed()).numpy())
        for axis in (0, 1):
            self.assertEqual(set(places[:, axis]), set(range(9)))
        self.assertBetween(places[:, 2].mean(), 0.35, 0.65)
        # Offsets and mirroring are drawn independently.
        self.assertLess(np.abs(np.corrcoef(places.T)[np.triu_indices(3, 1)]).max(), 0.25)

    def test_parts(self):
        original = pictures(50)
        cropped = self.places(original, augmentation.crop_and_flip(original, seed(), flip=False).numpy())
        self.assertEqual(set(cropped[:, 2]), {0})
        flipped = self.places(original, augmentation.crop_and_flip(original, seed(), crop=False).numpy())
        self.assertEqual({tuple(p) for p in flipped[:, :2]}, {(4, 4)})

    def test_mirrored_edges(self):
        black = np.zeros((20, 32, 32, 3), np.uint8)
        black[:, 8:24, 8:24] = 255
        shifted = augmentation.crop_and_flip(black, seed(), flip=False, mirror_edges=True).numpy()
        self.assertEqual(set(np.unique(shifted)), {0, 255})
        self.assertAllEqual(shifted.sum((1, 2, 3)), black.sum((1, 2, 3)))
        self.assertGreater(len({image.tobytes() for image in shifted}), 10)
        rows = np.tile(np.arange(32, dtype=np.uint8)[:, None, None], (20, 1, 32, 3))
        rows = augmentation.crop_and_flip(rows, seed(), flip=False, mirror_edges=True).numpy()[:, :, 0, 0].astype(int)
        # Each edge comes twice: the mirror stands beside the picture, not in its last row.
        expected = [np.r_[3:-1:-1, 0:32, 31:27:-1][top : top + 32].tolist() for top in range(9)]
        self.assertTrue(all(row.tolist() in expected for row in rows))

    def test_seed_decides(self):
        original = pictures(20)
        first = augmentation.crop_and_flip(original, seed(1, 2))
        self.assertAllEqual(first, augmentation.crop_and_flip(original, seed(1, 2)))
        self.assertNotAllEqual(first, augmentation.crop_and_flip(original, seed(1, 3)))
        self.assertNotAllEqual(first, augmentation.crop_and_flip(original, seed(2, 2)))


class CutoutTest(tf.test.TestCase):
    def test_hides_one_square_anywhere(self):
        white = np.full((400, 32, 24, 3), 255, np.uint8)
        hidden = augmentation.cutout(white, seed()).numpy() == 128
        self.assertAllEqual(hidden[..., 0], hidden[..., 2])
        rows, columns = hidden[..., 0].any(2), hidden[..., 0].any(1)
        # The product of its rows and its columns: one rectangle, cut only by the picture's edges.
        self.assertAllEqual(hidden[..., 0], rows[:, :, None] & columns[:, None, :])
        for sides in (rows.sum(1), columns.sum(1)):
            self.assertEqual(set(sides), {3, 4, 5, 6})
        self.assertTrue(rows.any(0).all() and columns.any(0).all())

    def test_places_are_drawn_independently(self):
        hidden = augmentation.cutout(np.full((400, 32, 32, 3), 255, np.uint8), seed()).numpy()[..., 0] == 128
        tops, lefts = hidden.any(2).argmax(1), hidden.any(1).argmax(1)
        self.assertLess(abs(np.corrcoef(tops, lefts)[0, 1]), 0.2)

    def test_seed_decides_and_the_rest_stays(self):
        original = pictures(20)
        first = augmentation.cutout(original, seed(1, 2)).numpy()
        self.assertAllEqual(first, augmentation.cutout(original, seed(1, 2)))
        self.assertNotAllEqual(first, augmentation.cutout(original, seed(1, 3)))
        self.assertAllEqual(first[first != 128], original[first != 128])


class RandomResizedCropTest(tf.test.TestCase):
    def gradient(self, kind):
        """A picture whose red and green tell the place of each pixel, encoded."""
        y, x = np.mgrid[:200, :240]
        file = io.BytesIO()
        image = Image.fromarray(np.stack([x, y, np.zeros_like(x)], -1).astype(np.uint8))
        image.save(file, kind, **({"quality": 98, "subsampling": 0} if kind == "JPEG" else {}))
        return tf.constant(file.getvalue())

    def test_windows_of_a_turned_picture_are_those_of_the_upright_one(self):
        for orientation in range(2, 9):
            exif = Image.Exif()
            exif[preprocessing.ORIENTATION] = orientation
            with Image.open(io.BytesIO(self.gradient("JPEG").numpy())) as image:
                # Lossless, so that the upright picture has the turned one's pixels exactly.
                file, upright = io.BytesIO(), io.BytesIO()
                image.save(file, "JPEG", quality=98, subsampling=0, exif=exif)
                pixels = np.asarray(preprocessing.upright(preprocessing.open_bytes(file.getvalue())))
                Image.fromarray(pixels).save(upright, "PNG")
            turned, upright = tf.constant(file.getvalue()), tf.constant(upright.getvalue())
            for i in range(8):
                contract = ImageContract(16, 16 + 4 * (i % 2), 3, ("a", "b"))
                crop = augmentation.random_resized_crop(turned, orientation, contract, seed(0, i))
                expected = augmentation.random_resized_crop(upright, 1, contract, seed(0, i))
                # Rows and columns are resized in another order, and rounded.
                self.assertAllClose(tf.cast(crop, tf.int32), tf.cast(expected, tf.int32), 0, 1)

    def test_windows_within_the_picture(self):
        for kind in ("JPEG", "PNG"):
            areas, ratios = [], []
            for i in range(60):
                crop = (
                    augmentation.random_resized_crop(self.gradient(kind), 1, CONTRACT, seed(0, i)).numpy().astype(float)
                )
                self.assertEqual(crop.shape, (16, 16, 3))
                # Centres of the outermost pixels are 15/16 of the window apart.
                width, height = ((crop[..., c].max() - crop[..., c].min()) * 16 / 15 for c in (0, 1))
                areas.append(width * height / (200 * 240))
                ratios.append(width / height)
            self.assertBetween(min(areas), 0.06, 0.3)
            self.assertBetween(max(areas), 0.7, 1.05)
            self.assertBetween(min(ratios), 0.65, 0.9)
            self.assertBetween(max(ratios), 1.1, 1.45)

    def test_seed_decides(self):
        picture = self.gradient("JPEG")
        one = augmentation.random_resized_crop(picture, 1, CONTRACT, seed(3, 4))
        self.assertAllEqual(one, augmentation.random_resized_crop(picture, 1, CONTRACT, seed(3, 4)))
        self.assertNotAllEqual(one, augmentation.random_resized_crop(picture, 1, CONTRACT, seed(3, 5)))


if __name__ == "__main__":
    tf.test.main()
