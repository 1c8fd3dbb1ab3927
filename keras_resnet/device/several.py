"""The contract's input `several`: things that belong together, as a picture and a recording, each an input of its own.

Files of a thing are named by their inputs, `picture=three.png recording=three.wav`, or are of one name in a folder
for each input.
"""

import dataclasses
import pathlib
from typing import ClassVar

import numpy as np

SINGLE = ("picture", "sound", "text")


class SeveralError(ValueError):
    """Files that do not belong together; the message says which and what to type."""


class Together(dict):
    """Input's name -> the file that is for it, a path or a binary file; what is left out has no name here."""

    def __str__(self):
        return " ".join(f"{name}={file}" for name, file in self.items())


@dataclasses.dataclass(frozen=True)
class Several:
    """From things that belong together to a network's inputs.

    Each input is prepared by a contract of its own. One that may be left out is then x = 0, which is no thing, as
    training by modality dropout shows it (Neverova et al. 2014, https://arxiv.org/abs/1501.00102).

    Attributes:
        parts: name of the network's input -> `Picture`, `Sound` or `Text`.
        optional: names of those that may be left out, though not all at once.

    Raises:
        ValueError, TypeError: no things can be prepared so.
    """

    parts: dict
    optional: tuple[str, ...] = ()

    KIND: ClassVar = "several"
    THINGS: ClassVar = "sets of files"
    FILE: ClassVar = "npz"
    EXPLAINED: ClassVar = {"rules": {"optional": "an input that is left out is x = 0"}}

    def __post_init__(self):
        if not isinstance(self.parts, dict) or isinstance(self.optional, str):
            raise TypeError("expected inputs as an object of names, and optional ones as a list of names")
        object.__setattr__(self, "parts", dict(self.parts))
        object.__setattr__(self, "optional", tuple(self.optional))
        if len(self.parts) < 2 or odd_names(self.parts):
            raise ValueError(f"inputs {', '.join(map(repr, self.parts))}: expected two or more names without = or /")
        for name, part in self.parts.items():
            kind = getattr(part, "KIND", type(part).__name__)
            if kind not in SINGLE or isinstance(part, type):
                raise ValueError(f"input {name}: {kind}; expected one of {', '.join(SINGLE)}, with its sizes")
        if odd := sorted({*self.optional} - {*self.parts}):
            raise ValueError(f"optional is {odd[0]!r}, no input; known are {', '.join(self.parts)}")

    @property
    def shape(self):
        """Of each of the network's inputs, without the batch, by its name."""
        return {name: part.shape for name, part in self.parts.items()}

    @property
    def wanted(self):
        """How files are given to it."""
        return " ".join(f"[{name}=FILE]" if name in self.optional else f"{name}=FILE" for name in self.parts)

    def scaled(self, given):
        """Name -> what `read` made, as name -> float32 `x`, or int32 of a text; zeros of what is left out."""
        return {
            name: part.scaled(given[name])
            if name in given
            else np.zeros(part.shape, np.int32 if part.KIND == "text" else np.float32)
            for name, part in self.parts.items()
        }

    def read(self, files, name):
        """Name -> uint8 pixels, or int32 of a text, of files by their inputs' names; messages call binary ones `name`.

        Raises:
            ValueError: one can't be read, is of no input, or lacks.
        """
        if not isinstance(files, dict):
            raise SeveralError(f"{name}: one file; expected {self.wanted}")
        self.check(files)
        return {key: self.parts[key].read(file, name if hasattr(file, "read") else file) for key, file in files.items()}

    def read_sized(self, files, name):
        """The same, and None: of no answer it matters how large a thing is."""
        return self.read(files, name), None

    def check(self, names):
        """Refuses names that are not all of the inputs that have to be there, or of none."""
        if odd := [name for name in names if name not in self.parts]:
            raise SeveralError(f"{odd[0]}={names[odd[0]]}: no input of this model; expected {self.wanted}")
        if lacking := [name for name in self.parts if name not in names and name not in self.optional]:
            raise SeveralError(f"{Together(names)}: no {lacking[0]} beside it; expected {self.wanted}")
        if not names:
            raise SeveralError(f"nothing; expected {self.wanted}")

    def find(self, given):
        """The `Together`s of arguments as `picture=three.png`, one for each input: a file, or a folder for each.

        In folders those belong together whose paths, without the suffix, are the same.

        Raises:
            ValueError: they are of no such form, or files have no other half.
        """
        paths = {}
        for argument in map(str, given):
            name, _, path = argument.partition("=")
            if not path or name not in self.parts:
                raise SeveralError(f"{argument}: expected {self.wanted}")
            if name in paths:
                raise SeveralError(f"{argument}: {name} is given twice; give a folder of them for each input")
            paths[name] = pathlib.Path(path)
        self.check(paths)
        found = {name: self._by_key(name, path) for name, path in paths.items()}
        if len({path.is_dir() for path in paths.values()}) > 1:
            raise SeveralError(f"{Together(paths)}: a file and a folder; expected files, or a folder for each input")
        keys = sorted(set().union(*found.values()))
        if len(found) > 1 and sum(map(len, found.values())) == len(keys):
            first = [next(iter(of_name.values())) for of_name in found.values()]
            raise SeveralError(f"{Together(paths)}: no two files of one name ({first[0]}, {first[1]})")
        together = [Together({name: found[name][key] for name in found if key in found[name]}) for key in keys]
        for one in together:
            self.check(one)
        return together

    def _by_key(self, name, path):
        """What files are called, without the suffix and below their folder -> file; of a file alone ''."""
        files = self.parts[name].find([path])
        if not path.is_dir():
            if not path.is_file():
                raise SeveralError(f"{name}={path}: neither a file nor a folder")
            return {"": files[0]}
        found = {}
        for file in files:
            other = found.setdefault(str(file.relative_to(path).with_suffix("")), file)
            if other is not file:
                raise SeveralError(f"{other}, {file}: two of one name; the others' {name} would be either")
        return found

    def place(self, size):
        """Where an input lies on what it was made of; of classes nothing asks."""
        del size


def odd_names(names):
    """Whether a name could not be told apart from what stands beside it in an argument, or in golden arrays."""
    return any(not isinstance(name, str) or not name or set(name) & set("=/") for name in names)
