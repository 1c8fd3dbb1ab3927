"""Texts as data: what tables hold, which words are known, what training does to them."""

import collections
import math
import pathlib
import types

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from small_sets import KrReviews, write_reviews

from keras_resnet import recipes
from keras_resnet.data import DataError, augmentation, tables, texts, tfds_texts
from keras_resnet.data.loading import load_dataset
from keras_resnet.data.sources import Arrays
from keras_resnet.device.text import Text, tokens

SPLITS = ("train", "validation", "test")


@pytest.fixture
def folder(tmp_path):
    return write_reviews(tmp_path, {"train": 80, "dev": 10, "test": 10})


def test_a_folder_of_tables(folder):
    assert recipes.default_recipe(f"{folder}/") == "texts"
    data = load_dataset(f"{folder}/", pairs=32)
    text = data.contract.input
    assert data.contract.labels == ("bad", "good") and [len(data.split(name)) for name in SPLITS] == [80, 10, 10]
    lines = [line.split("\t") for line in (folder / "train.tsv").read_text().splitlines()]
    counts = collections.Counter(token for _, line in lines for token in line.split())
    assert text.vocabulary == tuple(sorted(counts, key=lambda t: (-counts[t], t)))
    for (label, line), ids, target in zip(lines, data.train.images, data.train.labels, strict=True):
        assert data.contract.labels[target] == label
        np.testing.assert_array_equal(ids, text.ids(line))
        assert text.words(ids) == line[: len(text.words(ids))]
    for name in SPLITS:
        raw = [data.raw[name](i).decode() for i in range(len(data.split(name)))]
        np.testing.assert_array_equal([text.ids(one) for one in raw], data.split(name).images)
    assert load_dataset(f"{folder}/", pairs=32).fingerprint == data.fingerprint
    few = load_dataset(f"{folder}/", vocabulary=3, tokens=4)
    assert few.contract.input.vocabulary == text.vocabulary[:3] and few.contract.shape == (4, 1)
    assert few.note == "80 of 80 training texts are longer than 4 tokens and cut there"


def test_headers_quotes_and_what_is_drawn(tmp_path):
    rows = [f'"so {i}, ""well""\nsaid",{"ab"[i % 2]}' for i in range(40)]
    (tmp_path / "train.csv").write_text("\ufeffSentence,Label\n" + "\n".join(rows), encoding="utf-8")
    data = load_dataset(f"{tmp_path}/")
    assert [len(data.split(name)) for name in SPLITS] == [32, 4, 4] and data.contract.labels == ("a", "b")
    assert data.contract.input.words(data.train.images[0]).endswith(', " well " said')
    assert data.raw["train"](0).decode() == 'so 0, "well"\nsaid'


@pytest.mark.parametrize(
    ("content", "message"),
    (
        ("a\tone\nb\n", r"row 2: 1 columns, expected 2; expected a header that names label and text"),
        ("a\tone\n\ttwo\n", "row 2: no label; expected a header"),
        ("label\ttext\n", "no text in train"),
        ("a\tone\na\ttwo\n", "all 2 training texts have the label 'a'; expected two of them"),
        (b"a\t\xff\n", "save it as UTF-8"),
        ("a\tone\nb\ttwo\n", "class a has 1 training"),
        ("stars\tcomment\n" + "5\ta\n1\tb\n" * 10, "first line, 'stars' and 'comment', looks like a header;"),
        ("".join(f"text {i}\ta\n" for i in range(50)), "50 labels of 50 training texts, as 'text 0'; are the columns"),
    ),
)
def test_what_is_no_table(tmp_path, content, message):
    (tmp_path / "train.tsv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        load_dataset(f"{tmp_path}/")


def test_a_table_of_excels_with_semicolons(tmp_path):
    rows = [f'{"good" if i % 2 else "bad"};"a film; one, or {i}"' for i in range(20)]
    (tmp_path / "train.csv").write_text('\ufeff"Label";Text\n' + "\n".join(rows), encoding="utf-8")
    data = load_dataset(f"{tmp_path}/")
    assert data.contract.labels == ("bad", "good") and sum(len(data.split(name)) for name in SPLITS) == 20
    assert data.raw["train"](0).decode().startswith("a film; one, or ")
    (tmp_path / "train.csv").write_text("\n".join(rows))  # and without a header
    assert load_dataset(f"{tmp_path}/").contract.labels == ("bad", "good")
    (tmp_path / "train.csv").write_text("good;one, two\nbad;three\n" * 10)
    assert [label for label, _ in tables.rows(tmp_path / "train.csv")[:2]] == ["good", "bad"]
    (tmp_path / "train.csv").write_text('"good";one\nbad;"three\n' * 10)
    with pytest.raises(DataError, match=r"train\.csv, line 3: .*expected a header that names label and text"):
        tables.rows(tmp_path / "train.csv")
    (tmp_path / "train.csv").write_text('"very; good",one; two\nbad,"three; four, five"\n' * 10)
    assert tables.rows(tmp_path / "train.csv")[:2] == [("very; good", "one; two"), ("bad", "three; four, five")]


def test_a_test_table_may_begin_with_its_only_text_of_a_class(folder):
    (folder / "test.tsv").write_text("good\ta film\n" + "bad\ta film\n" * 30)
    assert len(load_dataset(f"{folder}/").test) == 31


def test_splits_have_the_same_classes(folder):
    (folder / "test.tsv").write_text("awful\ta film\n")
    with pytest.raises(DataError, match="test has the class 'awful', which no training text has"):
        load_dataset(f"{folder}/")


def test_a_tfds_set_of_texts(tmp_path):
    KrReviews(data_dir=tmp_path).download_and_prepare()
    data = load_dataset("kr_reviews", tmp_path)
    assert data.contract.labels == ("neg", "pos") and [len(data.split(name)) for name in SPLITS] == [36, 4, 10]
    for i, label in enumerate(data.test.labels):
        line = data.raw["test"](i).decode()
        assert tokens(line)[0] == ("dull", "fine")[label] and "café" in data.contract.input.words(data.test.images[i])


def test_ratios_are_naive_bayes():
    """A word that three texts of one class and none of two of the other have, by hand and by all words' sums."""
    text = Text(("x", "y", "z"), 3)
    said, labels = ("x y", "x", "x z", "y", "y z"), np.array([0, 0, 0, 1, 1])
    source = Arrays(np.array([text.ids(one) for one in said]), labels)
    made = texts.log_ratios(source, text, 2)
    assert made.shape == (5, 2) and not made[:2].any()
    # One of each is added: of class 0 x 4, y 2, z 2; of class 1 x 1, y 3, z 2. Nothing and unknown have rows, too.
    here, there = 4 + 2 + 2 + 4 + 1, 1 + 3 + 2 + 3 + 1
    assert math.isclose(made[2, 0], math.log((4 / here) / (1 / there)), rel_tol=1e-6)
    np.testing.assert_allclose(made[:, 0], -made[:, 1], atol=1e-6)


def test_words_are_forgotten():
    ids = np.random.default_rng(0).integers(0, 50, (64, 30, 2)).astype(np.int32)
    seed = np.array((3, 4), np.int32)
    made = augmentation.augment(tf.constant(ids), np.zeros(64), seed, ("forget",))[0].numpy()
    forgotten = made != ids
    assert 0.13 < forgotten[ids > 1].mean() < 0.17 and not forgotten[ids < 2].any()
    assert (made[forgotten] == 1).all()


def test_training_forgets_and_nothing_else_does(folder):
    data = load_dataset(f"{folder}/", pairs=32)
    plain, *forgetful = (
        np.concatenate([ids for ids, _ in data.training(8, 0, epoch, augment=steps).as_numpy_iterator()])
        for epoch, steps in ((0, ()), (0, ("forget",)), (1, ("forget",)))
    )
    assert plain.shape == (80, *data.contract.shape) and not (forgetful[0] == forgetful[1]).all()
    assert 0.1 < (forgetful[0] != plain)[plain > 1].mean() < 0.2
    np.testing.assert_array_equal(np.sort(data.calibration(80, 0), 0), np.sort(data.train.images, 0))


def test_tables_beside_pictures_are_not_texts(folder):
    pathlib.Path(folder / "train").mkdir()
    with pytest.raises(ValueError, match="a folder per class"):
        load_dataset(f"{folder}/")


def test_ratios_of_three_classes_are_of_each_against_all_others():
    text = Text(("x", "y"), 2)
    said, labels = ("x", "x y", "y", "y", "x", "y"), np.array([0, 0, 1, 1, 2, 2])
    made = texts.log_ratios(Arrays(np.array([text.ids(one) for one in said]), labels), text, 3)
    for token, number in (("x", 2), ("y", 3)):
        for label in range(3):
            # One of each; of the numbers 0 to 3, 0 is behind each text that is one token long.
            here = [t for t, of in zip(said, labels, strict=True) if of == label]
            there = [t for t, of in zip(said, labels, strict=True) if of != label]
            numbers = lambda texts: sum(len({*t.split()}) + (len(t.split()) < 2) for t in texts)  # noqa: E731
            ours = (1 + sum(token in t.split() for t in here)) / (4 + numbers(here))
            theirs = (2 + sum(token in t.split() for t in there)) / (8 + numbers(there))
            assert math.isclose(made[number, label], math.log(ours / theirs), rel_tol=1e-5)


def test_a_hundredth_of_the_texts_is_cut(tmp_path):
    lines = [f"{'ab'[i % 2]}\t{'word ' * (1 + i)}" for i in range(200)]
    (tmp_path / "train.tsv").write_text("\n".join(lines))
    (tmp_path / "val.tsv").write_text("a\tx\nb\ty\n")
    (tmp_path / "test.tsv").write_text("a\tx\nb\ty\n")
    assert load_dataset(f"{tmp_path}/").contract.input.length == 198
    (tmp_path / "train.tsv").write_text("\n".join(f"{'ab'[i % 2]}\t{'w ' * 300}" for i in range(9)))
    assert load_dataset(f"{tmp_path}/").contract.input.length == 256
    (tmp_path / "train.tsv").write_text("a\t\nb\t \n")
    with pytest.raises(DataError, match="no training text has a word or a mark"):
        load_dataset(f"{tmp_path}/")


class Described:
    """What `written` asks a TFDS builder."""

    def __init__(self, keys=None, **features):
        self.info = types.SimpleNamespace(features=tfds.features.FeaturesDict(features), supervised_keys=keys)


def test_pictures_with_names_are_no_texts():
    text, label = tfds.features.Text(), tfds.features.ClassLabel(names=["a", "b"])
    assert tfds_texts.written(Described(sentence=text, label=label)) == ("sentence", "label")
    assert tfds_texts.written(Described(image=tfds.features.Image(), file_name=text, label=label)) is None
    assert tfds_texts.written(Described(title=text, text=text, label=label)) is None


def test_splits_whose_labels_are_hidden_are_left_out(tmp_path, monkeypatch):
    KrReviews(data_dir=tmp_path).download_and_prepare()
    read = texts.Written.of
    monkeypatch.setattr(texts.Written, "of", lambda rows: read([(-1, t) for _, t in rows] if len(rows) == 10 else rows))
    data = load_dataset("kr_reviews", tmp_path)
    assert [len(data.split(name)) for name in SPLITS] == [32, 4, 4] and set(data.test.labels) == {0, 1}
    monkeypatch.setattr(texts.Written, "of", lambda rows: read([(-1, rows[0][1]), *rows[1:]]))
    with pytest.raises(DataError, match="labels of train are hidden"):
        load_dataset("kr_reviews", tmp_path)


def test_an_open_quote_is_said_and_long_texts_are_read(tmp_path):
    (tmp_path / "train.csv").write_text("label,text\n" + 'a,"' + "w " * 200_000 + '"\nb,two\n' + "a,x\nb,y\n" * 3)
    assert len(load_dataset(f"{tmp_path}/").train) == 4
    (tmp_path / "train.csv").write_text('label,text\na,"one\nb,two\n')
    with pytest.raises(DataError, match="unexpected end of data"):
        load_dataset(f"{tmp_path}/")
