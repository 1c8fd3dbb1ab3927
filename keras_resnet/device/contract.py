"""The contract: how a raw thing becomes a network's input, and how its output becomes an answer.

It is one JSON file, saved with a run as `contract.json` and carried inside the `.tflite`; training's evaluation and
calibration, the export's proof and every client obey it. Here is all that Python knows of it.
"""

import dataclasses
import json
import pathlib

from .boxes import Boxes
from .classes import Classes
from .labels import Labels
from .mask import Mask
from .picture import Picture
from .row import Row
from .several import Several
from .sound import Sound
from .text import Text

VERSION, STRETCHED, SEVERAL = 2, 3, 4  # newer ones only where a reader of an older would prepare something else
INPUTS = {"picture": Picture, "sound": Sound, "text": Text, "row": Row, "several": Several}
OUTPUTS = {"classes": Classes, "labels": Labels, "boxes": Boxes, "mask": Mask}
# What a file that holds something else makes `parse` raise: a list for an object, a hundred thousand brackets.
DAMAGES = (ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError, RecursionError)


@dataclasses.dataclass(frozen=True)
class Contract:
    """From a raw thing to an answer.

    Attributes:
        input: how the thing becomes a tensor, `Picture`, `Sound`, `Text` or `Row`; several tensors, `Several`.
        output: how the network's outputs become an answer, as `Classes`.
    """

    input: Picture | Sound | Text | Row | Several
    output: Classes

    def __post_init__(self):
        if self.input.KIND == "several" and self.output.KIND not in ("classes", "labels"):
            raise ValueError(f"{self.output.KIND} of several inputs; expected classes or labels")

    @property
    def shape(self):
        """Of the network's input, without the batch; of several ones by their names."""
        return self.input.shape

    @property
    def labels(self):
        """Names, in the order of the output."""
        return self.output.labels

    def picture(self, image):
        """uint8 (height, width, channels) of a `PIL.Image.Image`; see `Picture.pixels`."""
        return self.input.pixels(image)

    def answer(self, outputs, size, top=5):
        """What a thing is taken for, as `classes.Likeliest`.

        Args:
            outputs: float32, what the network makes of it; a list where it has several outputs.
            size: (height, width) of the picture as it is shown; None of anything else.
            top: classes that are named.

        Raises:
            ValueError: a number is not finite.
        """
        return self.output.answer(outputs, top, self.input.place(size))

    def as_json(self):
        """What `contract.json` holds, with the input's rules in words, so that a reader needs no other source."""
        version = STRETCHED if getattr(self.input, "resize", "cover") == "stretch" else VERSION
        version = SEVERAL if self.input.KIND == "several" else version
        return {"version": version, "input": _saved(self.input), "output": _saved(self.output)}

    @classmethod
    def load(cls, path):
        """Reads `contract.json`, of this version or an older one.

        Raises:
            OSError: there is no such file.
            ValueError: it holds something else.
        """
        return read(pathlib.Path(path).read_text(encoding="utf-8"))


def _saved(part):
    saved = {"kind": part.KIND, **dataclasses.asdict(part), **part.EXPLAINED}
    if part.KIND == "several":
        saved["parts"] = {name: _saved(one) for name, one in part.parts.items()}
    return saved


class Unknown(ValueError):
    """A version or a kind that this code doesn't know yet."""


def read(text):
    """The `Contract` of a `contract.json`'s text.

    Raises:
        Unknown: it is of a newer version, or kind.
        ValueError: it is none.
    """
    try:
        return parse(json.loads(text))
    except Unknown:
        raise
    except DAMAGES as error:
        raise ValueError(f"it has no {error}" if isinstance(error, KeyError) else error) from error


def parse(saved):
    """The `Contract` that an object of JSON says.

    Version 1, which had no number, knew pictures and classes alone and laid both into one object.

    Raises:
        one of `DAMAGES`: it says none.
    """
    version = saved.get("version", 1)
    if isinstance(version, bool) or version not in (1, VERSION, STRETCHED, SEVERAL):  # true equals 1
        raise Unknown(f"version {version!r} of a contract; known are 1 to {SEVERAL}: install a newer keras-resnet")
    if version == 1:
        saved = {
            "input": {**saved, "kind": "picture"},
            "output": {"kind": "classes", "labels": saved["labels"], "scores": saved.get("output", "logits")},
        }
    contract = Contract(_part("input", saved["input"], INPUTS), _part("output", saved["output"], OUTPUTS))
    if (contract.input.KIND == "several") != (version == SEVERAL):
        raise ValueError(f"version {version} with an input {contract.input.KIND!r}; several are of version {SEVERAL}")
    return contract


def _part(name, saved, kinds):
    if saved["kind"] not in kinds:
        raise Unknown(f"{name} {saved['kind']!r}; known are {', '.join(kinds)}: install a newer keras-resnet")
    kind = kinds[saved["kind"]]
    known = {field.name for field in dataclasses.fields(kind)}
    fields = {field: value for field, value in saved.items() if field in known}
    if kind is Several:
        fields["parts"] = {key: _part(f"{name} {key}", one, INPUTS) for key, one in saved["parts"].items()}
    return kind(**fields)
