"""Each augmented picture is a window of its original, and every draw follows from the seed."""

import hashlib
import io
import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_resnet.data import augmentation, decoding, order
from keras_resnet.device.classes import Classes
from keras_resnet.device.contract import Contract
from keras_resnet.device.picture import ORIENTATION, Picture, upright
from keras_resnet.recipes import Recipe
from keras_resnet.tasks.classification import Classification

PICTURE = Picture(16, 16, 3)


def pictures(n=200, side=32):
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3), np.uint8)


def seed(a=0, b=0):
    return tf.constant([a, b], tf.int32)


def augmented(images, *steps, draw=None):
    """What a training step sees of pictures."""
    return augmentation.augment(images, None, seed() if draw is None else draw, steps)[0].numpy()


class MovingTest(tf.test.TestCase):
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
        places = self.places(original, augmented(original, "crop", "flip"))
        for axis in (0, 1):
            self.assertEqual(set(places[:, axis]), set(range(9)))
        self.assertBetween(places[:, 2].mean(), 0.35, 0.65)
        # Offsets and mirroring are drawn independently.
        self.assertLess(np.abs(np.corrcoef(places.T)[np.triu_indices(3, 1)]).max(), 0.25)

    def test_parts(self):
        original = pictures(50)
        cropped = self.places(original, augmented(original, "crop"))
        self.assertEqual(set(cropped[:, 2]), {0})
        flipped = self.places(original, augmented(original, "flip"))
        self.assertEqual({tuple(p) for p in flipped[:, :2]}, {(4, 4)})

    def test_mirrored_edges(self):
        black = np.zeros((20, 32, 32, 3), np.uint8)
        black[:, 8:24, 8:24] = 255
        shifted = augmented(black, "shift")
        self.assertEqual(set(np.unique(shifted)), {0, 255})
        self.assertAllEqual(shifted.sum((1, 2, 3)), black.sum((1, 2, 3)))
        self.assertGreater(len({image.tobytes() for image in shifted}), 10)
        rows = np.tile(np.arange(32, dtype=np.uint8)[:, None, None], (20, 1, 32, 3))
        rows = augmented(rows, "shift")[:, :, 0, 0].astype(int)
        # Each edge comes twice: the mirror stands beside the picture, not in its last row.
        expected = [np.r_[3:-1:-1, 0:32, 31:27:-1][top : top + 32].tolist() for top in range(9)]
        self.assertTrue(all(row.tolist() in expected for row in rows))

    def test_seed_decides(self):
        original = pictures(20)
        first, again, *others = (
            augmented(original, "crop", "flip", draw=seed(*draw)) for draw in ((1, 2), (1, 2), (1, 3), (2, 2))
        )
        self.assertAllEqual(first, again)
        for other in others:
            self.assertNotAllEqual(first, other)


@pytest.mark.parametrize(
    ("steps", "digest"),
    [
        (("crop", "flip"), "592378045f68793a"),
        (("crop",), "0b3b8cf6efb81c1d"),
        (("flip",), "0a4ac4934f29aba2"),
        (("shift",), "4a5179967becb2f2"),
        (("crop", "flip", "cutout"), "c674a95578da73f1"),
    ],
)
def test_draws_are_those_of_version_0_1(steps, digest):
    """A run that it began goes on with the same bits."""
    images = augmented(pictures(20), *steps, draw=seed(1, 2))
    assert hashlib.sha256(images.tobytes()).hexdigest()[:16] == digest


class TargetsTest(tf.test.TestCase):
    """What is learned, where it lies on the picture, moves with it."""

    def test_maps_move_with_the_pixels(self):
        original = pictures(60)
        # Of each pixel its place, counted from 1: 0 is what comes from around the picture.
        places = np.tile(np.arange(1, 32 * 32 + 1, dtype=np.int32).reshape(1, 32, 32, 1), (60, 1, 1, 1))
        for steps in (("crop",), ("flip",), ("crop", "flip"), ("shift",), ("shift", "flip")):
            with self.subTest(steps=steps):
                images, moved = augmentation.augment(
                    original, places, seed(3), steps, lambda maps, moves: augmentation.moved(maps, moves, 0)
                )
                self.assertAllEqual(images, augmented(original, *steps, draw=seed(3)))
                self.assertEqual((moved.dtype, moved.shape), (tf.int32, places.shape))
                moved = moved.numpy()[..., 0]
                expected = original.reshape(60, -1, 3)[np.arange(60)[:, None, None], moved - 1]
                inside = moved > 0
                self.assertAllEqual(images.numpy()[inside], expected[inside])
                self.assertGreater(len({one.tobytes() for one in moved}), 1)
                if "crop" in steps:
                    self.assertEqual(set(images.numpy()[~inside].ravel()), {128})
                self.assertEqual(inside.all(), steps == ("flip",))

    def test_a_copy_of_the_pictures_moves_as_they_do(self):
        original = pictures(60)
        for steps, fill in ((("crop", "flip"), 128), (("shift", "flip"), None), (("flip",), 0)):
            with self.subTest(steps=steps):
                images, moved = augmentation.augment(
                    original, original, seed(4), steps, lambda t, moves, fill=fill: augmentation.moved(t, moves, fill)
                )
                self.assertAllEqual(images, moved)
                self.assertNotAllEqual(images, original)

    def test_a_slope_is_a_slope_wherever_it_is_moved(self):
        rows, columns = np.mgrid[:24, :40].astype(np.float32)
        slope = np.tile((2 * rows + 3 * columns + 7)[None, ..., None], (32, 1, 1, 1))
        moves = augmentation.draw_moves((24, 40), 32, seed(6), ("zoom", "flip", "vflip"))
        found = augmentation.moved(slope, moves, -1000, smooth=True).numpy()[..., 0]
        y, x = moves.sources(0).numpy()[:, :, None] - 0.5, moves.sources(1).numpy()[:, None] - 0.5
        inside = (y >= 0) & (y <= 23) & (x >= 0) & (x <= 39)
        self.assertAllClose(found[inside], (2 * y + 3 * x + 7)[inside], atol=1e-3)
        self.assertTrue((found[(y < -1) | (y > 24) | (x < -1) | (x > 40)] == -1000).all())
        sizes = 1 / np.abs(moves.step)
        self.assertTrue((sizes[:, 0] == sizes[:, 1]).all() and sizes.min() > 1 / 1.4 and sizes.max() < 1.4)
        self.assertGreater(sizes.max() - sizes.min(), 0.5)
        turned = moves.step.numpy() < 0
        self.assertEqual(len({tuple(one) for one in turned}), 4)
        nearest = augmentation.moved(slope, moves, -1000).numpy()[..., 0]
        self.assertAllEqual(nearest[inside], (2 * np.round(y + 1e-6) + 3 * np.round(x + 1e-6) + 7)[inside])

    def test_cutout_hides_nothing_of_what_is_learned(self):
        original = pictures(20)

        def move(maps, moves):
            return augmentation.moved(maps, moves, 128)

        images, kept = augmentation.augment(original, original, seed(5), ("cutout",), move)
        self.assertAllEqual(kept, original)
        self.assertNotAllEqual(images, original)
        images, moved = augmentation.augment(original, original, seed(5), ("crop", "flip", "cutout"), move)
        self.assertAllEqual(moved, augmented(original, "crop", "flip", draw=seed(5)))
        self.assertAllEqual(images, augmentation.cutout(moved, seed(5)))

    def test_targets_without_a_place_stay(self):
        labels = np.arange(20)
        for steps in ((), ("crop", "flip"), ("shift", "cutout")):
            self.assertAllEqual(augmentation.augment(pictures(20), labels, seed(), steps)[1], labels)

    def test_the_order_in_which_steps_are_named_changes_nothing(self):
        original = pictures(20)
        for steps in (("crop", "flip", "cutout"), ("shift", "flip", "cutout")):
            expected = augmented(original, *steps, draw=seed(6))
            for named in itertools.permutations(steps):
                self.assertAllEqual(augmented(original, *named, draw=seed(6)), expected)
                self.assertEqual(Recipe(augmentation=",".join(named)).augmentations, steps)


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


class MixTest(tf.test.TestCase):
    """Batches of one colour each, so that what is mixed in can be measured in the pixels."""

    def mixed(self, mixup, cutmix, number):
        images = np.zeros((4, 20, 30, 3), np.uint8) + np.array([0, 60, 120, 240], np.uint8)[:, None, None, None]
        return augmentation.mix(tf.constant(images), tf.eye(4), seed(0, number), mixup, cutmix)

    def test_mixup_is_a_mean_with_the_picture_before(self):
        parts = []
        for number in range(200):
            images, targets = self.mixed(0.2, 0.0, number)
            self.assertAllClose(tf.reduce_sum(targets, -1), np.ones(4))
            kept = targets.numpy()[0, 0]
            self.assertAllClose(targets[0], [kept, 0, 0, 1 - kept])
            self.assertAllClose(targets[2], [0, 1 - kept, kept, 0])
            self.assertAllClose(images[2, 0, 0, 0], kept * 120 + (1 - kept) * 60, atol=0.6)
            parts.append(kept)
        # Beta(0.2, 0.2): mean a half, variance 1 / (4 (2 * 0.2 + 1)) = 0.179, most of it at the ends.
        self.assertBetween(np.mean(parts), 0.4, 0.6)
        self.assertBetween(np.var(parts), 0.14, 0.21)

    def test_cutmix_takes_a_rectangle_as_large_as_its_target_says(self):
        parts = []
        for number in range(200):
            images, targets = self.mixed(0.0, 1.0, number)
            other = images.numpy()[3, ..., 0] == 120
            self.assertTrue(np.all(other | (images.numpy()[3, ..., 0] == 240)))
            self.assertAllClose(targets[3], [0, 0, other.mean(), 1 - other.mean()], atol=1e-6)
            rows, columns = np.flatnonzero(other.any(1)), np.flatnonzero(other.any(0))
            self.assertEqual(other.sum(), len(rows) * len(columns))
            parts.append(other.mean())
        # A part that is even in [0, 1], less what lies outside of the picture.
        self.assertBetween(np.mean(parts), 0.25, 0.45)
        self.assertGreater(max(parts), 0.6)

    def test_views_of_one_picture_are_not_mixed_with_each_other(self):
        views = order.Order(repeats=3).indices(np.arange(40), 0, 0)[4:36]  # a batch that begins within three views
        images = np.zeros((32, 8, 8, 3), np.uint8) + np.uint8(views)[:, None, None, None]
        for alphas in ((0.2, 0.0), (0.0, 1.0)):
            _, targets = augmentation.mix(tf.constant(images), tf.one_hot(views, 40), seed(0, 1), *alphas, repeats=3)
            mixed = np.sort(targets, -1)[:, -2:]
            self.assertAllClose(mixed.sum(-1), np.ones(32))
            self.assertAllGreater(mixed[:, 0], 0)
        task = Classification(Contract(Picture(8, 8, 3), Classes(tuple(map(str, range(40))))))
        _, targets = task.mix(Recipe(mixup=0.2, repeats=3))(tf.constant(images), tf.constant(views), seed(0, 1))
        self.assertAllGreater(np.sort(targets, -1)[:, -2], 0)

    def test_by_lot_where_both_are_asked_for(self):
        kinds = [len(np.unique(self.mixed(0.2, 1.0, number)[0].numpy()[3])) for number in range(100)]
        self.assertBetween(np.mean(np.array(kinds) == 2), 0.3, 0.7)  # a rectangle has two colours, a mean one

    def test_seed_decides(self):
        for alphas in ((0.2, 0.0), (0.0, 1.0), (0.2, 1.0)):
            one, again, other = (self.mixed(*alphas, number)[1] for number in (3, 3, 4))
            self.assertAllEqual(one, again)
            self.assertNotAllEqual(one, other)


class EraseAndJitterTest(tf.test.TestCase):
    def test_a_quarter_is_erased_by_rectangles_of_noise(self):
        original = tf.fill((2000, 24, 32, 3), tf.constant(7, tf.uint8))
        changed = (augmentation.erase(original, seed()) != original).numpy().any(-1)
        erased = changed.any((1, 2))
        self.assertBetween(erased.mean(), 0.21, 0.29)
        areas, ratios = [], []
        for one in changed[erased]:
            rows, columns = np.flatnonzero(one.any(1)), np.flatnonzero(one.any(0))
            width, height = np.ptp(columns) + 1, np.ptp(rows) + 1
            self.assertGreater(one.sum(), 0.9 * width * height)  # noise may be the picture's own value
            areas.append(width * height / (24 * 32))
            ratios.append(width / height)
        self.assertBetween(min(areas), 0.01, 0.06)
        self.assertBetween(max(areas), 0.28, 0.37)
        self.assertBetween(np.median(ratios), 0.8, 1.25)
        self.assertBetween(np.quantile(ratios, 0.95), 2, 3.5)

    def test_jitter_scales_brightness_by_up_to_two_fifths(self):
        gray = tf.fill((500, 4, 4, 3), tf.constant(100, tf.uint8))
        factors = augmentation.jitter(gray, seed()).numpy()[:, 0, 0] / 100
        self.assertAllEqual(factors[:, 0], factors[:, 1])  # no colour comes into gray, no contrast into one value
        self.assertBetween(factors.min(), 0.595, 0.62)
        self.assertBetween(factors.max(), 1.38, 1.405)

    def test_jitter_changes_contrast_and_saturation_about_their_means(self):
        pictures = np.zeros((300, 2, 2, 3), np.uint8) + np.array([[[60, 60, 60]], [[140, 140, 140]]], np.uint8)
        changed = augmentation.jitter(tf.constant(pictures), seed()).numpy().astype(float)
        ratios = (changed[:, 1] - changed[:, 0]).mean((1, 2)) / changed.mean((1, 2, 3)) / 0.8
        self.assertBetween(ratios.min(), 0.58, 0.65)
        self.assertBetween(ratios.max(), 1.35, 1.42)
        colour = np.zeros((300, 2, 2, 3), np.uint8) + np.array([120, 80, 100], np.uint8)
        changed = augmentation.jitter(tf.constant(colour), seed()).numpy().astype(float)
        spread = (changed[..., 0] - changed[..., 1]).mean((1, 2)) / changed[..., 2].mean((1, 2)) / 0.4
        self.assertBetween(spread.min(), 0.36, 0.5)  # contrast times saturation
        self.assertBetween(spread.max(), 1.6, 1.97)
        gray = changed @ [0.299, 0.587, 0.114] / (np.array([120, 80, 100]) @ [0.299, 0.587, 0.114])
        brightness = gray[:, 0, 0]  # which neither of the others changes
        self.assertAllClose(brightness, tf.random.stateless_uniform((3, 300), seed(), 0.6, 1.4)[0], atol=0.012)

    def test_light_changes_an_exponent_and_the_colours_factors(self):
        pictures = np.zeros((400, 2, 2, 3), np.uint8) + np.array([[[80]], [[160]]], np.uint8)
        changed = augmentation.light(tf.constant(pictures), seed()).numpy() / 255.0
        exponents = np.log(changed[:, 1, 0] / changed[:, 0, 0]) / np.log(2)
        self.assertAllClose(exponents, exponents[:, :1] * np.ones((1, 3)), atol=0.06)  # of all colours one
        self.assertBetween(exponents.min(), 0.48, 0.53)
        self.assertBetween(exponents.max(), 1.9, 2.1)
        self.assertBetween(np.median(exponents), 0.9, 1.1)
        factors = changed[:, 1, 0] ** (1 / exponents[:, :1]) * 255 / 160
        self.assertBetween(factors.min(), 0.77, 0.83)
        self.assertBetween(factors.max(), 1.2, 1.3)
        self.assertLess(np.abs(np.corrcoef(factors.T)[np.triu_indices(3, 1)]).max(), 0.15)  # each its own
        white = augmentation.light(tf.fill((400, 1, 1, 3), tf.constant(255, tf.uint8)), seed()).numpy()
        self.assertGreater(white.min(), 255 * 0.8**2 - 5)  # bytes do not begin anew behind 255
        self.assertEqual(white.max(), 255)
        gray = augmentation.light(tf.constant(pictures[..., :1]), seed())
        self.assertEqual((gray.shape, gray.dtype), ((400, 2, 2, 1), tf.uint8))

    def test_each_step_is_asked_for_by_its_name(self):
        original = pictures(64)
        for name in ("trivial", "rand", "jitter", "light", "erase"):
            one, same = (augmentation.augment(original, 0, seed(1, 2), (name,))[0] for _ in range(2))
            self.assertAllEqual(one, same)
            self.assertNotAllEqual(one, original)
            self.assertEqual(one.shape, original.shape)


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
            exif[ORIENTATION] = orientation
            with Image.open(io.BytesIO(self.gradient("JPEG").numpy())) as image:
                # Lossless, so that the upright picture has the turned one's pixels exactly.
                file, turned_back = io.BytesIO(), io.BytesIO()
                image.save(file, "JPEG", quality=98, subsampling=0, exif=exif)
                pixels = np.asarray(upright(decoding.open_bytes(file.getvalue())))
                Image.fromarray(pixels).save(turned_back, "PNG")
            turned, whole = tf.constant(file.getvalue()), tf.constant(turned_back.getvalue())
            for i in range(8):
                picture = Picture(16, 16 + 4 * (i % 2), 3)
                crop = augmentation.random_resized_crop(turned, orientation, picture, seed(0, i))
                expected = augmentation.random_resized_crop(whole, 1, picture, seed(0, i))
                # Rows and columns are resized in another order, and rounded.
                self.assertAllClose(tf.cast(crop, tf.int32), tf.cast(expected, tf.int32), 0, 1)

    def test_windows_within_the_picture(self):
        for kind in ("JPEG", "PNG"):
            areas, ratios = [], []
            for i in range(60):
                crop = (
                    augmentation.random_resized_crop(self.gradient(kind), 1, PICTURE, seed(0, i)).numpy().astype(float)
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
        one = augmentation.random_resized_crop(picture, 1, PICTURE, seed(3, 4))
        self.assertAllEqual(one, augmentation.random_resized_crop(picture, 1, PICTURE, seed(3, 4)))
        self.assertNotAllEqual(one, augmentation.random_resized_crop(picture, 1, PICTURE, seed(3, 5)))


if __name__ == "__main__":
    tf.test.main()
