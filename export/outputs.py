"""How far each output of each file is from the Keras model's, whatever its shape; for models that are no run's."""

import dataclasses

import keras
import numpy as np

from keras_resnet import files
from keras_resnet.device.tensors import Tensors

from . import comparison, conversion

BATCH = 16
SHOWN = 2000  # values of one output in the picture
MOST = 8  # outputs in the picture
ALIKE = 1e-6  # answers that differ by less of their size are one answer


@dataclasses.dataclass(frozen=True)
class Row:
    """One output of one file.

    Attributes:
        error: the difference's norm over that of how the answers to different examples differ; to a single example,
            over that of how its values differ. None where they don't.
        largest_error: in the output's units.
        same_largest: the part of the examples (of a map, of its places) whose largest value has the same index; None
            where there is one alone.
        as_simulated: the part of the values that are those of the simulation; None where there is none.
    """

    format: str
    bytes: int
    output: str
    error: float | None
    largest_error: float
    same_largest: float | None
    as_simulated: float | None
    latency: dict
    operators: dict
    float_tensors: int


def given(model, parts):
    """The examples one by one, dicts by the names of the inputs in a file; `parts` has an array (n, …) for each."""
    return [dict(zip(conversion.input_names(model), one, strict=True)) for one in zip(*parts, strict=True)]


def compare(paths, expected, examples, threads=1):
    """Asks files for the examples that models have answered.

    Args:
        paths: format -> path of its file.
        expected: `float` -> `answers` of the model that all are held to; a format -> those of the quantized one it was
            made of.
        examples: as `given` makes them.
        threads: of LiteRT.

    Returns:
        (list of `Row`, (format, output) -> (expected, made), arrays (n, …)).
    """
    latency = comparison.measure_latency(paths, examples[:BATCH], kind=Tensors)
    rows, shown = [], {}
    for name, path in paths.items():
        network = Tensors(path, threads)
        made = [network.dequantize(network.invoke(network.quantize(one))) for one in examples]
        facts = latency[name], comparison.operators(network.interpreter), comparison.float_tensors(network.interpreter)
        for output, wanted in expected["float"].items():
            tensor = output if output in network.outputs else next(iter(network.outputs))
            values = np.stack([one[tensor] for one in made])
            near = comparison.step(network.interpreter, network.outputs[tensor]) / 2 or comparison.FLOAT_NOISE
            simulated = float(np.mean(np.abs(values - expected[name][output]) < near)) if name in expected else None
            rows.append(Row(name, path.stat().st_size, output, *_differences(values, wanted), simulated, *facts))
            shown[name, output] = wanted, values
    return rows, shown


def answers(model, parts):
    """Name -> output (n, …) of a Keras model; `parts` has an array (n, …) for each input."""
    made = []
    for i in range(0, len(parts[0]), BATCH):
        batch = keras.tree.pack_sequence_as(model._inputs_struct, [part[i : i + BATCH] for part in parts])
        made.append(list(map(np.asarray, keras.tree.flatten(model(batch, training=False)))))
    return dict(zip(conversion.output_names(model), map(np.concatenate, zip(*made, strict=True)), strict=True))


def _differences(made, wanted):
    """`error`, `largest_error` and `same_largest` of arrays (n, …)."""
    made, wanted = made.astype(np.float64), wanted.astype(np.float64)
    spread = np.linalg.norm(wanted - (wanted.mean(0) if len(wanted) > 1 else wanted.mean()))
    difference = np.abs(made - wanted)
    return (
        float(np.linalg.norm(difference) / spread) if spread > ALIKE * np.linalg.norm(wanted) else None,
        float(difference.max()),
        float(np.mean(made.argmax(-1) == wanted.argmax(-1))) if wanted.ndim > 1 and wanted.shape[-1] > 1 else None,
    )


HEADER = ("format", "bytes", "output", "error", "largest error", "same largest", "as simulated")
HEADER += ("ms, 1 thread (p90)", "ms, 2 threads (p90)", "operators", "float tensors")


def cells(row):
    """A row as texts, in the order of `HEADER`."""
    return (
        row.format,
        f"{row.bytes:,}",
        row.output,
        "" if row.error is None else f"{row.error:.4f}",
        f"{row.largest_error:.4g}",
        "" if row.same_largest is None else f"{row.same_largest:.4f}",
        "" if row.as_simulated is None else f"{row.as_simulated:.4f}",
        *(f"{t['median']:.2f} ({t['p90']:.2f})" for t in row.latency.values()),
        str(sum(row.operators.values())),
        str(row.float_tensors),
    )


def table(rows):
    """The comparison as aligned text."""
    return comparison.aligned([HEADER, *map(cells, rows)])


def picture(rows, shown, title):
    """What each file answers against what the Keras model does, a panel for each output (down) and format (across)."""
    from keras_resnet.drawing import BLUE, GRAY, pyplot, short

    errors = {(row.format, row.output): row.error for row in rows}
    formats, outputs = (list(dict.fromkeys(names)) for names in zip(*shown, strict=True))
    if len(outputs) > MOST:
        title, outputs = f"{title}; the first {MOST} of {len(outputs)} outputs", outputs[:MOST]
    size = (max(2.8 * len(formats) + 0.5, 6.0), 2.8 * len(outputs) + 0.6)  # the title has its place
    figure, panels = pyplot.subplots(len(outputs), len(formats), figsize=size, squeeze=False, layout="constrained")
    rng = np.random.default_rng(0)
    for (name, output), (wanted, made) in shown.items():
        if output not in outputs:
            continue
        axes = panels[outputs.index(output)][formats.index(name)]
        places = rng.permutation(wanted.size)[:SHOWN]
        ends = [wanted.min(), wanted.max()]
        axes.plot(ends, ends, color=GRAY, linewidth=1)
        axes.scatter(wanted.ravel()[places], made.ravel()[places], s=9, color=BLUE, alpha=0.4, edgecolors="none")
        error = errors[name, output]
        axes.set_title("" if error is None else f"error {error:.3f}", fontsize=9)
        axes.grid(alpha=0.3)
    for axes, name in zip(panels[0], formats, strict=True):
        axes.set_title(f"{name}\n{axes.get_title()}", fontsize=9)
    for axes, output in zip(panels[:, 0], outputs, strict=True):
        axes.set_ylabel(short(output))
    figure.supxlabel("Keras, float32 (across); file, in LiteRT (up)")
    figure.suptitle(title)
    return figure


def write(folder, rows, shown, title, about):
    """Writes the comparison as JSON, Markdown and picture."""
    from keras_resnet import drawing

    files.write_json(folder / "comparison.json", {**about, "files": [dataclasses.asdict(row) for row in rows]})
    files.write_text(folder / "comparison.md", comparison.markdown_lines([HEADER, *map(cells, rows)]))
    drawing.save(picture(rows, shown, title), folder / "comparison.png")
