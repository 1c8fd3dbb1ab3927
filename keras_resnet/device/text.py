"""The contract's input `text`: how a sentence becomes a network's numbers, in the only place that knows it.

Rules that Unicode itself states, so that every language's own library does the same.
"""

import dataclasses
import functools
import unicodedata
from typing import ClassVar

import numpy as np

from . import text_files

NOTHING, UNKNOWN = 0, 1  # behind the end, and for a token that the vocabulary lacks
FIRST = 2  # the number of the vocabulary's first token
BEGINNING, END = 5, 3  # code points of a token's pieces
# Of a sigma, whether it is a word's last is told otherwise by each language's library.
ALIKE = str.maketrans("\u2019\u02bc\uff07\u03c2", "'''\u03c3")
# Ideographs, kana and the like, which are written without spaces, are tokens one by one.
ALONE = ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
MOST = 1 << 20  # tokens, of a vocabulary and of a text; a contract with more of them is a broken one


@dataclasses.dataclass(frozen=True)
class Text:
    """From a text to the network's input.

    It is normalized (NFKC) and lower-cased; letters, marks and digits that follow one another, apostrophes between them
    too, are a token; of other visible characters each is one, and of ideographs. The first `length` tokens become
    their numbers in the vocabulary, and behind the end is nothing, 0. With `pairs`, each token has one more number, of
    it and the one behind it: a hash of both. With `pieces` two more: hashes of how it begins and how it ends.

    Attributes:
        vocabulary: tokens, the first of which is number 2.
        length: tokens of a text.
        pairs: numbers that pairs of tokens share, behind those of the vocabulary; 0: pairs have none.
        pieces: numbers that beginnings and ends share, behind those of the pairs; 0: they have none.

    Raises:
        ValueError, TypeError: no text can be prepared so.
    """

    vocabulary: tuple[str, ...]
    length: int
    pairs: int = 0
    pieces: int = 0

    KIND: ClassVar = "text"
    THINGS: ClassVar = "texts"
    FILE: ClassVar = "txt"
    axes: ClassVar = 1
    EXPLAINED: ClassVar = {
        "rules": {
            "normalization": "Unicode NFKC, then lower case; U+2019, U+02BC, U+FF07 are apostrophes, U+03C2 is U+03C3",
            "token": "a run of letters, marks and digits (L, M, N), with apostrophes between them; else one character "
            "that is neither a separator nor a control (Z, C)",
            "ideographs": "a token each: U+3040 to 30FF, 3400 to 4DBF, 4E00 to 9FFF, F900 to FAFF, 20000 to 3FFFF",
            "numbers": "0 behind the end, 1 of a token that is not in the vocabulary, 2 of its first one",
            "pairs": "behind the vocabulary: FNV-1a, 32 bits, of UTF-8 of both with a space between, modulo pairs; the "
            "last token has 0",
            "pieces": "behind the pairs: FNV-1a, as above, modulo pieces, of ^ and the first 5 code points of a token, "
            "and of its last 3 and $",
        }
    }

    def __post_init__(self):
        object.__setattr__(self, "vocabulary", tuple(self.vocabulary))
        if not all(isinstance(token, str) and token for token in self.vocabulary) or len(self.places) < len(
            self.vocabulary
        ):
            raise ValueError(f"a vocabulary of {len(self.vocabulary)}: expected texts, each once")
        for name, least in (("length", 1), ("pairs", 0), ("pieces", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or int(value) != value or not least <= value <= MOST:
                raise ValueError(f"{name}={value!r}: expected a whole number from {least} to {MOST:,}")
            object.__setattr__(self, name, int(value))

    @property
    def shape(self):
        """(tokens, numbers of each)."""
        return self.length, 1 + bool(self.pairs) + 2 * bool(self.pieces)

    @property
    def numbers(self):
        """How many numbers there are: what an embedding's table has rows."""
        return self.known + self.pairs + self.pieces

    @property
    def known(self):
        """How many of them tokens have, with nothing and unknown: the first ones."""
        return FIRST + len(self.vocabulary)

    @functools.cached_property
    def places(self):
        """Token -> number."""
        return {token: FIRST + i for i, token in enumerate(self.vocabulary)}

    def ids(self, text):
        """Prepares one text; the reference that every other reader is held to.

        Returns:
            int32 array (length, 1), with one column more for pairs and two for pieces.
        """
        return self.numbered(tokens(text))

    def numbered(self, found):
        """The same of a text's tokens, a list."""
        found = found[: self.length + 1]
        made = np.zeros(self.shape, np.int32)
        for i, token in enumerate(found[: self.length]):
            made[i, 0] = self.places.get(token, UNKNOWN)
            if self.pairs and i + 1 < len(found):
                made[i, 1] = self.known + fnv1a(f"{token} {found[i + 1]}".encode()) % self.pairs
            if self.pieces:
                made[i, -2:] = [
                    self.known + self.pairs + fnv1a(piece.encode()) % self.pieces
                    for piece in (f"^{token[:BEGINNING]}", f"{token[-END:]}$")
                ]
        return made

    def scaled(self, ids):
        """The numbers themselves: an embedding takes them."""
        return ids

    def find(self, paths):
        """The text files of given files and folders; see `text_files.find`."""
        return text_files.find(paths)

    def read(self, file, name):
        """int32 (length, …) of a text file, UTF-8, a path or a binary file that messages call `name`.

        Raises:
            TextError: it can't be read.
        """
        return self.ids(text_files.read(file, name))

    def read_sized(self, file, name):
        """The same, and None: of no answer it matters how long a text is."""
        return self.read(file, name), None

    def words(self, ids):
        """What a network reads of a text, int32 (length, …), as one line; `…` for what it doesn't know."""
        known = ("", "…", *self.vocabulary)
        return " ".join(known[i] for i in ids[:, 0] if i != NOTHING)

    def as_flags(self):
        """What a recipe says of it: name of a field -> value."""
        numbers = {"pairs": self.pairs, "pieces": self.pieces}
        return {"tokens": self.length, "vocabulary": max(1, len(self.vocabulary)), **numbers}

    def place(self, size):
        """Where the input lies on what it was made of; of texts nothing asks."""
        del size


def tokens(text):
    """The tokens of a text, a list; see `Text`."""
    text = unicodedata.normalize("NFKC", text).lower().translate(ALIKE)
    found, run = [], ""
    for i, character in enumerate(text):
        between = character == "'" and run and i + 1 < len(text) and _in_words(text[i + 1])
        if _in_words(character) or between:
            run += character
            continue
        if run:
            found.append(run)
            run = ""
        if unicodedata.category(character)[0] not in "ZC":
            found.append(character)
    return [*found, run] if run else found


def _in_words(character):
    alone = any(first <= ord(character) <= last for first, last in ALONE)
    return unicodedata.category(character)[0] in "LMN" and not alone


def fnv1a(content):
    """FNV-1a of bytes, 32 bits (Fowler, Noll, Vo; http://www.isthe.com/chongo/tech/comp/fnv/)."""
    hashed = 2166136261
    for byte in content:
        hashed = (hashed ^ byte) * 16777619 & 0xFFFFFFFF
    return hashed
