"""The contract's texts: tokens of many scripts, numbers, hashes of pairs, what is refused."""

import io

import numpy as np
import pytest

from keras_resnet.device import text_files
from keras_resnet.device.classes import Classes
from keras_resnet.device.contract import Contract, parse
from keras_resnet.device.text import Text, fnv1a, tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \t\n\u00a0\u200b", []),
        ("Don't  PANIC!", ["don't", "panic", "!"]),
        ("the dogs\u2019 tail, 'quoted'", ["the", "dogs", "'", "tail", ",", "'", "quoted", "'"]),
        ("It\u2019s 3.5\u00a0\u20ac", ["it's", "3", ".", "5", "\u20ac"]),
        ("\u7535\u5f71\u5f88\u597d\u3002ok", ["\u7535", "\u5f71", "\u5f88", "\u597d", "\u3002", "ok"]),
        ("\u304b\u306aAB\u30ab", ["\u304b", "\u306a", "ab", "\u30ab"]),
        ("nai\u0308ve na\u00efve", ["na\u00efve", "na\u00efve"]),
        ("\ufb01ne \u2460 x\u00b2", ["fine", "1", "x2"]),
        ("good\U0001f44d\U0001f3fd\u2764\ufe0f", ["good", "\U0001f44d", "\U0001f3fd", "\u2764", "\ufe0f"]),
        ("\u03a3\u03a9\u03a3 \u0130", ["\u03c3\u03c9\u03c3", "i\u0307"]),
        ("\u0926\u0941\u0928\u093f\u092f\u093e", ["\u0926\u0941\u0928\u093f\u092f\u093e"]),  # marks stay with letters
        ("a'b'' 'c", ["a'b", "'", "'", "'", "c"]),
    ],
)
def test_tokens_of_many_scripts(text, expected):
    assert tokens(text) == expected


def test_hashes_are_the_published_ones():
    """http://www.isthe.com/chongo/src/fnv/test_fnv.c"""
    assert [fnv1a(b""), fnv1a(b"a"), fnv1a(b"foobar")] == [0x811C9DC5, 0xE40C292C, 0xBF9CF968]


def test_numbers_and_pairs():
    rules = Text(("good", "film"), 4, 1000)
    assert rules.shape == (4, 2) and rules.numbers == 1004
    made = rules.ids("Good film, bad film is longer")
    pairs = [4 + fnv1a(pair.encode()) % 1000 for pair in ("good film", "film ,", ", bad", "bad film")]
    np.testing.assert_array_equal(made, np.stack([[2, 3, 1, 1], pairs], 1))
    np.testing.assert_array_equal(rules.ids("film"), [[3, 0], [0, 0], [0, 0], [0, 0]])
    np.testing.assert_array_equal(Text(("good",), 3).ids("good x"), [[2], [1], [0]])
    assert made.dtype == np.int32 and not rules.ids("").any()
    assert (Text(("a",), 8).ids("a" * 10_000 + " a") == [[1], [2], *[[0]] * 6]).all()


def test_pieces_are_how_tokens_begin_and_end():
    rules = Text(("good",), 3, 100, 50)
    assert rules.shape == (3, 4) and rules.numbers == 2 + 1 + 100 + 50
    made = rules.ids("Filming \U0001f44d good")
    pieces = [
        [103 + fnv1a(one.encode()) % 50 for one in pair]
        for pair in (("^filmi", "ing$"), ("^👍", "👍$"), ("^good", "ood$"))
    ]
    np.testing.assert_array_equal(made[:, 2:], pieces)
    np.testing.assert_array_equal(made[:, :2], Text(("good",), 3, 100).ids("filming 👍 good"))
    np.testing.assert_array_equal(Text(("good",), 3, 0, 50).ids("filming")[0], [1, *(p - 100 for p in pieces[0])])
    assert not rules.ids("good")[1:].any()


def test_text_files(tmp_path):
    rules = Text(("good",), 2)
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfgood")
    np.testing.assert_array_equal(rules.read(tmp_path / "a.txt", "a"), [[2], [0]])
    assert rules.find([tmp_path]) == [tmp_path / "a.txt"] and rules.read_sized(io.BytesIO(b"x"), "x")[1] is None
    with pytest.raises(text_files.TextError, match=r"b\.txt: no text in UTF-8"):
        rules.read(io.BytesIO(b"\xff"), "b.txt")
    with pytest.raises(text_files.TextError, match="none: no text"):
        rules.read(tmp_path / "none", "none")
    with pytest.raises(text_files.TextError, match="more than 16,777,216 bytes"):
        rules.read(io.BytesIO(b" " * (text_files.MOST + 1)), "long")


def test_the_contract_keeps_it():
    contract = Contract(Text(("gut", "\u597d"), 5, 7), Classes(("no", "yes")))
    assert parse(contract.as_json()) == contract and contract.shape == (5, 2)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((("a", "a"), 3), "a vocabulary of 2: expected texts, each once"),
        ((("a", ""), 3), "expected texts, each once"),
        ((("a", 3), 3), "expected texts, each once"),
        ((("a",), 0), "length=0: expected a whole number from 1"),
        ((("a",), 2.5), "length=2.5"),
        ((("a",), 3, -1), "pairs=-1: expected a whole number from 0"),
        ((("a",), True), "length=True"),
    ],
)
def test_texts_that_cannot_be_are_refused(given, said):
    with pytest.raises(ValueError, match=said):
        Text(*given)
