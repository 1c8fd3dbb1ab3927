"""The proof: Keras beside every `.tflite` on the same pictures, each file read by the reference reader.

One table: bytes, accuracy, its difference from the float model with a 95 % interval; the share of pictures for which
the file names the class that its Keras model names (agreement), and for which it gives all of that model's logits; the
largest logit error; latency for one and two threads, peak memory, operators, float tensors left. Where files end with
probabilities, it is these that are compared.

Pictures pass batch by batch, and sums alone are kept: memory grows with the batch, not with the split.
"""

import collections
import dataclasses
import statistics
import subprocess
import sys
import time

import numpy as np

from keras_resnet import files
from keras_resnet.data.decoding import normalize
from keras_resnet.device.reader import Reader

BATCH = 64
SUBSET_SEED = 20151210  # fixed, so that exports on a part of the pictures can be compared with each other
LATENCY_RUNS = 100
FLOAT_NOISE = 1e-3  # more than logits differ by for the order of their additions
MARKERS = "osD^vP*X"
# Loads one file, runs it once and prints the process's peak memory in kB (getrusage would count its parent's too).
MEMORY = """
import re, sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
interpreter.invoke()
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read()).group(1))
"""


@dataclasses.dataclass
class Row:
    """What one format showed. Accuracies in [0, 1], latencies in milliseconds, memory in MB."""

    format: str
    bytes: int
    accuracy: float
    difference: float
    interval: float
    agreement: float
    same_logits: float
    largest_error: float
    latency: dict
    memory: float
    operators: dict
    float_tensors: int


def batches(data, split, pictures=0):
    """Yields a split's pictures as the contract prepares them.

    Args:
        data: `Data`.
        split: its name.
        pictures: how many, drawn by a fixed seed; 0 for all of them.

    Yields:
        uint8 (batch, height, width, channels) and ints (batch,), in the split's own order.
    """
    source = data.split(split)
    drawn = np.zeros(len(source), bool)
    drawn[np.random.default_rng(SUBSET_SEED).permutation(len(source))[: pictures or None]] = True
    begin = 0
    for images, labels in source.batches(data.contract.input, BATCH).as_numpy_iterator():
        here = drawn[begin : begin + len(labels)]
        begin += len(labels)
        if here.any():
            yield images[here], labels[here]


@dataclasses.dataclass
class Sums:
    """What one file answered so far: sums over pictures, and the largest error."""

    hits: float = 0
    other_hits: float = 0  # squares of what it got righter or wronger than the float model
    agreed: float = 0
    same: int = 0
    largest_error: float = 0.0


class Comparison:
    """What files and their Keras models answered to the pictures that passed.

    Args:
        readers: format -> `Reader` of its file.
        models: `float` -> the float `keras.Model`; a format -> the model that it was made of, where that is another.
        task: what they have learned; its contract's scores are what they answer with.

    Attributes:
        pictures, hits, loss: how many passed; how many the float model got right, and its cross-entropies' sum.
        sums: format -> `Sums`.
    """

    def __init__(self, readers, models, task):
        self.readers, self.models, self.task = readers, models, task
        self.pictures, self.hits, self.loss = 0, 0, 0.0
        self.sums = {name: Sums() for name in readers}

    def add(self, images, labels):
        """Lets all answer a batch: uint8 (batch, height, width, channels) and its targets."""
        expected = {name: model.predict_on_batch(normalize(images)) for name, model in self.models.items()}
        right = self.task.scores(expected["float"], labels)
        self.pictures += len(labels)
        self.hits += float(right.sum())
        self.loss += float(self.task.losses(expected["float"], labels).sum())
        for name, reader in self.readers.items():
            answers = np.stack([reader.dequantize(reader.run(image)) for image in images])
            reference, sums = expected.get(name, expected["float"]), self.sums[name]
            hit, errors = self.task.scores(answers, labels), np.abs(answers - reference).max(-1)
            half_a_step = reader.output["quantization"][0] / 2
            sums.hits += float(hit.sum())
            sums.other_hits += float(np.square(hit - right).sum())
            sums.agreed += float(self.task.agreement(answers, reference).sum())
            sums.same += int((errors < (half_a_step or FLOAT_NOISE)).sum())
            sums.largest_error = float(np.maximum(sums.largest_error, errors.max()))  # of NaN, NaN

    def rows(self, paths, images):
        """One `Row` a format; latency is measured on `images`, uint8 (n, height, width, channels)."""
        latencies = measure_latency(paths, images)
        return [self._row(name, path, latencies[name]) for name, path in paths.items()]

    def interval(self, sums):
        """Half of the paired 95 % interval of a format's difference from the float model."""
        n = self.pictures
        # These two sums give the variance of single pictures' differences, rounded: it may be a little below 0.
        variance = max(0.0, sums.other_hits - (sums.hits - self.hits) ** 2 / n) / max(n - 1, 1)
        return float(1.96 * np.sqrt(variance / n))

    def _row(self, name, path, latency):
        n, sums = self.pictures, self.sums[name]
        return Row(
            name,
            path.stat().st_size,
            sums.hits / n,
            (sums.hits - self.hits) / n,
            self.interval(sums),
            sums.agreed / n,
            sums.same / n,
            sums.largest_error,
            latency,
            peak_memory(path),
            operators(self.readers[name].interpreter),
            float_tensors(self.readers[name].interpreter),
        )


def operators(interpreter):
    """Kind of operator -> how many of them a file has; LiteRT counts what it hands to XNNPACK as one more."""
    names = (operator["op_name"] for operator in interpreter._get_ops_details())
    return dict(collections.Counter(name for name in names if name != "DELEGATE"))


def step(interpreter, output):
    """The scale of an output, or of what becomes it by DEQUANTIZE; 0.0 of one that is computed in float."""
    made_by = [op for op in interpreter._get_ops_details() if output["index"] in op["outputs"]]
    before = {int(op["inputs"][0]) for op in made_by if op["op_name"] == "DEQUANTIZE"}
    scales = [t["quantization"][0] for t in interpreter.get_tensor_details() if t["index"] in before]
    return max([output["quantization"][0], *scales])


def float_tensors(interpreter):
    """How many tensors of a file hold floats."""
    return sum(tensor["dtype"] in (np.float16, np.float32) for tensor in interpreter.get_tensor_details())


def measure_latency(paths, examples, runs=LATENCY_RUNS, kind=Reader):
    """Milliseconds of the network for one example, median and 90th percentile, for one and two threads, taking turns.

    The first tenth of the runs warms up and is not counted.

    Args:
        paths: format -> path of its file.
        examples: what a `kind` of reader quantizes, as pixels of `Reader`.
    """
    readers = {(name, n): kind(path, n) for name, path in paths.items() for n in (1, 2)}
    inputs = {key: [reader.quantize(example) for example in examples] for key, reader in readers.items()}
    times = {key: [] for key in readers}
    for turn in range(runs):
        for key, reader in readers.items():
            tensor = inputs[key][turn % len(examples)]
            began = time.perf_counter()
            reader.invoke(tensor)
            times[key].append(1000 * (time.perf_counter() - began))
    result = collections.defaultdict(dict)
    for (name, n), taken in times.items():
        counted = taken[runs // 10 :]
        result[name][f"{n} thread{'s' * (n > 1)}"] = {
            "median": statistics.median(counted),
            "p90": float(np.percentile(counted, 90)),
        }
    return dict(result)


def peak_memory(path):
    """Peak memory in MB of a process that loads and runs one file, Python and NumPy included."""
    output = subprocess.run(
        [sys.executable, "-c", MEMORY, str(path)], capture_output=True, text=True, check=True
    ).stdout
    return int(output.split()[-1]) / 1024


HEADER = (
    "format",
    "bytes",
    "accuracy",
    "difference ± 95 %",
    "agreement",
    "same logits",
    "largest error",
    "ms, 1 thread (p90)",
    "ms, 2 threads (p90)",
    "memory",
    "operators",
    "float tensors",
)


def header(output):
    """`HEADER` for files that answer with `logits` or `probabilities`."""
    return tuple(text.replace("logits", output) for text in HEADER)


def cells(row):
    """A row as texts, in the order of `HEADER`."""
    times = [f"{t['median']:.2f} ({t['p90']:.2f})" for t in row.latency.values()]
    return (
        row.format,
        f"{row.bytes:,}",
        f"{100 * row.accuracy:.2f} %",
        f"{100 * row.difference:+.2f} ± {100 * row.interval:.2f}",
        f"{row.agreement:.4f}",
        f"{row.same_logits:.4f}",
        f"{row.largest_error:.3f}",
        *times,
        f"{row.memory:.0f} MB",
        str(sum(row.operators.values())),
        str(row.float_tensors),
    )


def table(rows, output="logits"):
    """The comparison as aligned text; `output` is what the files answer."""
    return aligned([header(output), *map(cells, rows)])


def aligned(lines):
    """Lines of texts, below one another."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in lines)


def markdown(rows, output="logits"):
    """The comparison as a Markdown table."""
    return markdown_lines([header(output), *map(cells, rows)])


def markdown_lines(lines):
    """Lines of texts as a Markdown table; the first is its head."""
    lines = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def picture(rows, float_accuracy, title, score="top-1 accuracy"):
    """Accuracy against size, and against latency of one thread; bars are the 95 % interval of the difference."""
    from keras_resnet.drawing import GRAY, PALETTE, pyplot

    figure, both = pyplot.subplots(1, 2, figsize=(11.5, 4.5), sharey=True, layout="constrained")
    sides = (("size of the file [kB]", lambda r: r.bytes / 1000),)
    sides += (("latency, 1 thread, median [ms]", lambda r: r.latency["1 thread"]["median"]),)
    for axes, (label, x) in zip(both, sides, strict=True):
        axes.axhline(100 * float_accuracy, color=GRAY, linestyle="--", label="Keras, float32")
        for row, marker, color in zip(rows, MARKERS, PALETTE, strict=False):
            place = (x(row), 100 * row.accuracy)
            axes.errorbar(*place, 100 * row.interval, fmt=marker, color=color, capsize=3, label=row.format)
        axes.set(xlabel=label, xlim=(0, 1.1 * max(map(x, rows))))
        axes.grid(alpha=0.3)
    low, high = both[0].get_ylim()
    both[0].set_ylim(min(low, 100 * float_accuracy - 0.5), max(high, 100 * float_accuracy + 0.5))
    both[0].set_ylabel(f"{score} [%]")
    handles = both[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside right center")
    figure.suptitle(title)
    return figure


def write(folder, rows, float_accuracy, title, about, score="top-1 accuracy"):
    """Writes the comparison as JSON, Markdown and picture."""
    from keras_resnet import drawing

    report = {**about, "float_accuracy": float_accuracy, "formats": [dataclasses.asdict(row) for row in rows]}
    files.write_json(folder / "comparison.json", report)
    files.write_text(folder / "comparison.md", markdown(rows, about["output"]))
    drawing.save(picture(rows, float_accuracy, title, score), folder / "comparison.png")
