"""Golden examples beside a `.tflite`: PNG or WAV files, exact input bytes, exact outputs. Every client replays them."""

import base64
import collections
import io
import json

import numpy as np
from PIL import Image

from keras_resnet import files
from keras_resnet.device import tensors

COUNT = 16


class Choice:
    """Chooses pictures of as many classes as there are, the first ones of each in turn, from those that pass."""

    def __init__(self, count=COUNT):
        self.count, self.passed, self.of_class = count, 0, collections.Counter()
        self.chosen = []  # (pictures of its class before it, pictures before it, the picture)

    def add(self, images, groups):
        """Looks at a batch: uint8 (batch, height, width, channels) and ints (batch,), a class's or another kind's."""
        for image, label in zip(images, groups.tolist(), strict=True):
            place = self.of_class[label], self.passed
            self.of_class[label] += 1
            self.passed += 1
            if len(self.chosen) < self.count or place < self.chosen[-1][:2]:
                self.chosen = sorted([*self.chosen, (*place, image.copy())], key=lambda one: one[:2])[: self.count]

    @property
    def images(self):
        """The chosen pictures, uint8 (n, height, width, channels)."""
        return np.stack([image for *_, image in self.chosen])

    def things(self, raw=None):
        """Bytes of the files that they are made of: their PNGs, or what `raw` makes of their numbers in the split."""
        return [raw(number) if raw else png(image) for _, number, image in self.chosen]


def png(image):
    """A PNG's bytes of a uint8 picture (height, width, channels)."""
    file = io.BytesIO()
    Image.fromarray(np.squeeze(image)).save(file, "PNG")
    return file.getvalue()


def write_arrays(path, network, examples):
    """Writes `golden.npz` of a file of any inputs and outputs.

    Args:
        path: of the `.tflite`; the golden file takes its name, `NAME.golden.npz`.
        network: `Tensors` of the file.
        examples: list of dicts: name of an input -> float32 or integer array.
    """
    given = [network.quantize(example) for example in examples]
    made = [network.invoke(one) for one in given]
    arrays = {tensors.GIVEN + name: np.stack([one[name] for one in given]) for name in network.inputs}
    arrays |= {tensors.MADE + name: np.stack([one[name] for one in made]) for name in network.outputs}
    with files.atomic(path.with_suffix(".golden.npz")) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)
    path.with_suffix(".golden.json").unlink(missing_ok=True)  # of pictures, which it would be replayed by


def write(path, reader, things):
    """Writes `golden.npz` and `golden.json` of one file; several outputs have their names in them.

    Args:
        path: of the `.tflite`; the golden files take its name, `NAME.golden.npz`.
        reader: `Reader` of the file.
        things: bytes of files that the contract's input reads.
    """
    prepared = [reader.prepare(io.BytesIO(thing), "golden example") for thing in things]
    inputs, outputs = np.array([one.tensor for one in prepared]), [reader.invoke(one.tensor) for one in prepared]
    names, kind = reader.contract.output.TENSORS, reader.contract.input
    made = [np.stack(parts) for parts in zip(*outputs, strict=True)] if names else [np.stack(outputs)]
    arrays = {"outputs": made[0]}
    if names:
        arrays = {tensors.MADE + name: array for name, array in zip(names, made, strict=True)}
    with files.atomic(path.with_suffix(".golden.npz")) as temporary, open(temporary, "wb") as file:
        raws = {f"{kind.KIND}{i:02}": np.frombuffer(thing, np.uint8) for i, thing in enumerate(things)}
        np.savez(file, inputs=inputs, **arrays, **raws)
    kinds = [{"dtype": str(array.dtype), "shape": array.shape[1:]} for array in made]
    saved = {"model": path.name, "input": {"dtype": str(inputs.dtype), "shape": inputs.shape[1:]}}
    saved |= {"outputs": dict(zip(names, kinds, strict=True))} if names else {"output": kinds[0]}
    saved[f"{kind.KIND}s"] = [
        {kind.FILE: _text(thing), "input": _text(one.tensor), **_answered(reader, one.size, output)}
        for thing, one, output in zip(things, prepared, outputs, strict=True)
    ]
    files.write_text(path.with_suffix(".golden.json"), json.dumps(saved))


def _text(content):
    return base64.b64encode(content if isinstance(content, bytes) else content.tobytes()).decode()


def _answered(reader, size, output):
    """What a network made of a thing: scores or, where it made more than a few, their bytes and what they mean."""
    names = reader.contract.output.TENSORS
    if not names and output.ndim == 1:
        return {"output": output.tolist()}
    shown = reader.contract.answer(reader.dequantize(output), size).as_golden()
    made = {"outputs": dict(zip(names, map(_text, output), strict=True))} if names else {"output": _text(output)}
    return {**made, "answer": shown}
