"""Where accuracy is lost: the signal-to-quantization-noise ratio of every tensor that int8 rounds, worst first.

Two figures a layer, in decibels. *own*: the layer gets exact inputs, and only its kernel, bias and output are rounded.
*accumulated*: everything before it is rounded too, as in the file. Below about 20 dB (a noise of a tenth of the signal)
a layer deserves a look: a wider range, more bits, or a longer int8-aware training.
"""

import collections
import dataclasses

import numpy as np

from keras_resnet import files
from keras_resnet.quantization.fake_quantization import FakeQuantize, without_rounding
from keras_resnet.quantization.translation import call, nodes

BATCH = 64


@dataclasses.dataclass
class Noise:
    """Signal-to-quantization-noise ratios of one layer's output, 10 log10(Σ x² / Σ (x - rounded)²), in dB."""

    layer: str
    own: float
    accumulated: float


def measure(model, pictures):
    """Runs an int8-aware model with and without its rounding, layer by layer.

    Args:
        model: `keras.Model` of `quantize_aware`, trained or not.
        pictures: float32 (n, height, width, channels), preprocessed.

    Returns:
        List of `Noise`, the worst own ratio first. Tensors that rounding leaves as they are (the input) are not in it.
    """
    sums = collections.defaultdict(lambda: np.zeros(3))
    for start in range(0, len(pictures), BATCH):
        for name, signal, *noises in _walk(model, pictures[start : start + BATCH]):
            sums[name] += [np.square(t, dtype=np.float64).sum() for t in (signal, *noises)]
    rows = [
        Noise(name, *(float(10 * np.log10(signal / noise)) for noise in (own, accumulated)))
        for name, (signal, own, accumulated) in sums.items()
        if own > 0 and signal > 0
    ]
    return sorted(rows, key=lambda row: row.own)


def _walk(model, batch):
    """Yields (layer, exact output, own error, accumulated error) of every rounded tensor, in the order of the graph.

    A tensor is dropped behind the last layer that reads it: what lives are three copies of those still to be read.
    """
    exact = {id(tensor): batch for tensor in model.inputs}
    own, rounded = dict(exact), dict(exact)
    readers = collections.Counter(id(tensor) for node in nodes(model) for tensor in node.input_tensors)
    for node in nodes(model):
        layer, key = node.operation, id(node.output_tensors[0])
        for values in (own, rounded):
            values[key] = np.asarray(call(node, values))
        with without_rounding(layer):
            exact[key] = np.asarray(call(node, exact))
        if isinstance(layer, FakeQuantize):
            name = node.input_tensors[0]._keras_history.operation.name
            yield name, exact[key], own[key] - exact[key], rounded[key] - exact[key]
            own[key] = exact[key]  # the next layer starts from exact inputs again
        for tensor in map(id, node.input_tensors):
            readers[tensor] -= 1
            if not readers[tensor]:
                for values in (exact, own, rounded):
                    del values[tensor]


def table(rows):
    """The report as aligned text."""
    width = max(len(row.layer) for row in rows)
    lines = [f"{'layer':{width}}  own [dB]  accumulated [dB]"]
    return "\n".join(lines + [f"{r.layer:{width}}  {r.own:8.1f}  {r.accumulated:16.1f}" for r in rows])


def picture(rows, title):
    """The report as bars, the worst at the top."""
    from keras_resnet.drawing import BLUE, ORANGE, pyplot

    places = range(len(rows))
    figure, axes = pyplot.subplots(figsize=(8, 1.6 + 0.22 * len(rows)), layout="constrained")
    axes.barh(places, [row.own for row in rows], color=BLUE, label="own: only this layer is rounded")
    accumulated = [row.accumulated for row in rows]
    axes.plot(accumulated, places, "o", color=ORANGE, markersize=5, label="accumulated: all before it, too")
    axes.set_yticks(places, [row.layer for row in rows], fontsize=8)
    axes.set(xlabel="signal-to-quantization-noise ratio [dB], more is better", ylim=(len(rows) - 0.4, -0.6))
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    figure.suptitle(title)
    return figure


def write(folder, rows, title):
    """Writes `layers.json` and `layers.png`."""
    from keras_resnet import drawing

    files.write_json(folder / "layers.json", {"model": title, "layers": [dataclasses.asdict(row) for row in rows]})
    drawing.save(picture(rows, title), folder / "layers.png")
