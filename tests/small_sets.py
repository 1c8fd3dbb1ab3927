"""Small data sets: folders of pictures, TFDS sets that are made here, so that nothing is downloaded."""

import io

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image, ImageOps

from keras_resnet.device import sound_files
from keras_resnet.device.picture import ORIENTATION


def make_folder(root, classes=("cat", "dog"), n=12, size=(20, 20), seed=0):
    """A folder per class; the class is the picture's tint, its number is in the first pixel's blue."""
    rng = np.random.default_rng(seed)
    for c, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(n):
            pixels = rng.integers(0, 80, (*size, 3), np.uint8)
            pixels[..., c % 3] += 150
            Image.fromarray(pixels).save(root / name / f"{i:03}.png")
    return root


def tone(hertz, seconds, rate, loudness=0.3):
    """A sine that begins and ends softly."""
    t = np.arange(round(seconds * rate)) / rate
    return loudness * np.sin(2 * np.pi * hertz * t) * np.sin(np.pi * t / seconds) ** 2


def write_tones(root, counts, rate=8000):
    """Folders `low` and `high` of recordings of tones, by five speakers; `counts` has how many, by split's folder."""
    for split, count in counts.items():
        for name, hertz in (("low", 400), ("high", 1500)):
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                samples = tone(hertz + 10 * i, 0.15 + 0.02 * i, rate)
                path = root / split / name / f"{i:02}_{('ann', 'bob', 'cid', 'dot', 'eve')[i % 5]}.wav"
                path.write_bytes(sound_files.wav(samples, rate))
    return root


def write_reviews(root, counts, seed=0):
    """Tables of sentences; what counts is one word of opinion, and whether `not` stands before it."""
    rng = np.random.default_rng(seed)
    fill, words = (
        ("a", "the", "film", "of", "café", "plot", "it's", "and"),
        {"good": ("fine", "great"), "bad": ("dull", "weak")},
    )
    for split, count in counts.items():
        lines = []
        for i in range(count):
            label = ("good", "bad")[i % 2]
            turned = rng.random() < 0.3
            word = rng.choice(words["bad" if (label == "good") == turned else "good"])
            said = [
                *rng.choice(fill, rng.integers(2, 6)),
                *["not"] * turned,
                word,
                *rng.choice(fill, rng.integers(1, 5)),
            ]
            lines.append(f"{label}\t{' '.join(said)} .")
        (root / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def write_rows(root, counts, seed=0):
    """Tables of things that are big or small: by size, colour and weight, which is not always there."""
    rng = np.random.default_rng(seed)
    for split, count in counts.items():
        lines = ["size,colour,Class,weight,same"]
        for i in range(count):
            big = i % 2
            colour = ("red", "green", "blue")[int(rng.choice(3, p=[0.8, 0.1, 0.1] if big else [0.1, 0.8, 0.1]))]
            weight = "" if rng.random() < 0.1 else f"{rng.normal(4 * big, 1):.3f}"
            lines.append(f"{rng.normal(10 + 6 * big, 2):.3f},{colour},{('small', 'big')[big]},{weight},1")
        (root / f"{split}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def collect(batches):
    images, labels = zip(*batches.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)


class KrTinyShapes(tfds.core.GeneratorBasedBuilder):
    """A TFDS data set with pictures of one size, made here so that no download is needed."""

    VERSION = tfds.core.Version("1.0.0")
    SHAPE, FORMAT = (12, 12, 3), None

    def _info(self):
        image = tfds.features.Image(shape=self.SHAPE, encoding_format=self.FORMAT)
        features = tfds.features.FeaturesDict({"image": image, "label": tfds.features.ClassLabel(names=["a", "b"])})
        return tfds.core.DatasetInfo(builder=self, features=features, supervised_keys=("image", "label"))

    def _split_generators(self, manager):
        return {"train": self._generate_examples(60, 0), "test": self._generate_examples(20, 1)}

    def _generate_examples(self, n, seed):
        rng = np.random.default_rng(seed)
        for i in range(n):
            side = self.SHAPE[:2] if self.SHAPE[0] else rng.integers(70, 90, 2)
            pixels = rng.integers(0, 100, (*side, 3), np.uint8)
            pixels[..., i % 2] += 120
            yield i, {"image": pixels, "label": i % 2}


class KrTinyJpegs(KrTinyShapes):
    """The same as JPEGs."""

    FORMAT = "jpeg"


class KrRarePhotos(KrTinyShapes):
    """One split, its three classes one after the other and the last one rare, prepared without shuffling."""

    def _info(self):
        names = tfds.features.ClassLabel(names=["a", "b", "rare"])
        features = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(None, None, 3)), "label": names})
        return tfds.core.DatasetInfo(
            builder=self, features=features, supervised_keys=("image", "label"), disable_shuffling=True
        )

    def _split_generators(self, manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i, label in enumerate([0] * 180 + [1] * 19 + [2] * 3):
            yield i, {"image": np.full((66, 70, 3), i, np.uint8), "label": label}


class KrBoxed(KrTinyShapes):
    """Photos with boxes, of which the second is hard, one is flat, and a picture has none; no validation split."""

    SHAPE = (None, None, 3)

    def _info(self):
        one = {
            "bbox": tfds.features.BBoxFeature(),
            "label": tfds.features.ClassLabel(names=["cat", "dog"]),
            "is_difficult": tfds.features.Scalar(np.bool_),
        }
        image = tfds.features.Image(shape=self.SHAPE)
        features = tfds.features.FeaturesDict({"image": image, "objects": tfds.features.Sequence(one)})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, manager):
        return {"train": self._generate_examples(20, 0), "test": self._generate_examples(4, 1)}

    def _generate_examples(self, n, seed):
        for i in range(n):
            pixels = np.full((40, 60, 3), 50, np.uint8)
            objects = []
            if i:
                pixels[10:20, 15:45] = 200
                objects.append(
                    {"bbox": tfds.features.BBox(0.25, 0.25, 0.5, 0.75), "label": i % 2, "is_difficult": False}
                )
                objects.append({"bbox": tfds.features.BBox(0.5, 0.0, 1.0, 0.5), "label": 0, "is_difficult": True})
                objects.append({"bbox": tfds.features.BBox(0.5, 0.5, 0.5, 0.6), "label": 0, "is_difficult": False})
            yield i, {"image": pixels, "objects": objects}


class KrMasked(KrTinyShapes):
    """Photos whose bright part is of the second class, their last row of none."""

    SHAPE = (None, None, 3)

    def _info(self):
        label_map = tfds.features.LabeledImage(labels=["void", "ground", "tree"], shape=(None, None, 1))
        features = {"image": tfds.features.Image(shape=self.SHAPE), "label_map": label_map}
        features["label"] = tfds.features.ClassLabel(names=["cat", "dog"])
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, manager):
        return {"train": self._generate_examples(20, 0), "test": self._generate_examples(4, 1)}

    def _generate_examples(self, n, seed):
        for i in range(n):
            label_map = np.ones((40, 60, 1), np.uint8)
            label_map[10:20, 3 * (i % 10) : 30] = 2
            label_map[-1] = 0
            image = np.where(label_map == 2, 200, 50).astype(np.uint8).repeat(3, -1)
            yield i, {"image": image, "label_map": label_map, "label": i % 2}


class KrSpoken(KrTinyShapes):
    """Recordings of low and high tones, at 8,000 samples a second; no validation split."""

    def _info(self):
        features = {"audio": tfds.features.Audio(file_format="wav", sample_rate=8000)}
        features["label"] = tfds.features.ClassLabel(names=["low", "high"])
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, manager):
        return {"train": self._generate_examples(20, 0), "test": self._generate_examples(4, 1)}

    def _generate_examples(self, n, seed):
        for i in range(n):
            samples = tone((400, 1500)[i % 2] + 10 * i, 0.2, 8000)
            yield i, {"audio": np.rint(samples * 32768).astype(np.int64), "label": i % 2}


class KrTurnedPhotos(KrTinyShapes):
    """JPEG files of a bright sky over a dark ground, stored in all eight orientations."""

    SHAPE = (None, None, 3)

    def _generate_examples(self, n, seed):
        sky = np.full((70, 80, 3), 30, np.uint8)
        sky[:35] = 230
        for i in range(n):
            exif, file = Image.Exif(), io.BytesIO()
            exif[ORIENTATION] = orientation = i % 8 + 1
            stored = Image.fromarray(sky)
            for _ in range(3):  # turning is its own undoing after at most four times
                stored.getexif()[ORIENTATION] = orientation
                stored = ImageOps.exif_transpose(stored)
            stored.save(file, "JPEG", exif=exif, quality=95)
            yield i, {"image": io.BytesIO(file.getvalue()), "label": i % 2}


class KrTurnedShapes(KrTurnedPhotos):
    """The same in memory: upright, all have one size."""

    SHAPE = (70, 80, 3)


class KrTinyLabels(KrTinyShapes):
    """Pictures that have several labels each, or none: a bright channel for each label."""

    def _info(self):
        labels = tfds.features.Sequence(tfds.features.ClassLabel(names=["red", "green", "blue"]))
        features = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=self.SHAPE), "labels": labels})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _generate_examples(self, n, seed):
        rng = np.random.default_rng(seed)
        for i in range(n):
            labels = [c for c in range(3) if i >> c & 1]
            pixels = rng.integers(0, 100, self.SHAPE, np.uint8)
            pixels[..., labels] += 120
            yield i, {"image": pixels, "labels": labels}


class KrTinyPhotos(KrTinyShapes):
    """The same as KrTinyShapes with pictures of many sizes, so that it is streamed."""

    SHAPE = (None, None, 3)


class KrReviews(tfds.core.GeneratorBasedBuilder):
    """A TFDS data set of texts, with a title beside each."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {"title": tfds.features.Text(), "text": tfds.features.Text()}
        features["label"] = tfds.features.ClassLabel(names=["neg", "pos"])
        described = tfds.features.FeaturesDict(features)
        return tfds.core.DatasetInfo(builder=self, features=described, supervised_keys=("text", "label"))

    def _split_generators(self, manager):
        return {"train": self._generate_examples(40), "test": self._generate_examples(10)}

    def _generate_examples(self, count):
        for i in range(count):
            yield i, {"title": "no", "text": f"{('dull', 'fine')[i % 2]} film, café {i}", "label": i % 2}
