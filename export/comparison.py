"""The proof: Keras beside every `.tflite` on the same pictures, each file read by the reference reader.

One table: bytes, accuracy, its difference from the float model with a 95 % interval; the share of pictures for which
the file names the class that its Keras model names (agreement), and for which it gives all of that model's logits; the
largest logit error; latency for one and two threads, peak memory, operators, float tensors left. Where files end with
probabilities, it is these that are compared. Of boxes the figure is mean average precision, without an interval;
agreement is the share of boxes that have a twin, and equality is counted by the values of each output.

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
for tensor in interpreter.get_input_details():
    interpreter.set_tensor(tensor["index"], np.zeros(tensor["shape"], tensor["dtype"]))
interpreter.invoke()
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read()).group(1))
"""


@dataclasses.dataclass
class Row:
    """What one format showed. Accuracies in [0, 1], latencies in milliseconds, memory in MB.

    `interval` is None where the figure is no mean over pictures; `same_logits` is a share of the pictures or, by the
    names of several outputs, of their values.
    """

    format: str
    bytes: int
    accuracy: float
    difference: float
    interval: float | None
    agreement: float
    same_logits: float | dict
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
    compared: int = 0
    same: dict = dataclasses.field(default_factory=collections.Counter)  # by output
    values: dict = dataclasses.field(default_factory=collections.Counter)
    largest_error: float = 0.0


class Comparison:
    """What files and their Keras models answered to the pictures that passed.

    Args:
        readers: format -> `Reader` of its file.
        models: `float` -> the float `keras.Model`; a format -> the model that it was made of, where that is another.
        task: what they have learned; its contract's scores are what they answer with.

    Attributes:
        pictures, hits, loss: how many passed; how many the float model got right, and its losses' sum.
        sums: format -> `Sums`.
    """

    def __init__(self, readers, models, task):
        self.readers, self.models, self.task = readers, models, task
        self.pictures, self.hits, self.loss = 0, 0, 0.0
        self.sums = {name: Sums() for name in readers}
        # Where a figure is no mean over pictures, what it is made of is kept instead.
        kept = () if task.PER_PICTURE else ("float", *readers)
        self.figures = {name: task.accumulator() for name in kept}

    def add(self, images, labels):
        """Lets all answer a batch: uint8 (batch, height, width, channels) and its targets."""
        x = normalize(images)
        expected = {name: self._outputs(model.predict_on_batch(x)) for name, model in self.models.items()}
        self.pictures += len(labels)
        self.loss += float(self.task.losses(self.task.joined(expected["float"]), labels).sum())
        right = self._right("float", expected["float"], labels)
        self.hits += float(right.sum())
        for name, reader in self.readers.items():
            made = [self._outputs(reader.dequantize(reader.run(image))) for image in images]
            answers = list(map(np.stack, zip(*made, strict=True)))
            reference = expected.get(name, expected["float"])
            hit, sums = self._right(name, answers, labels), self.sums[name]
            sums.hits += float(hit.sum())
            sums.other_hits += float(np.square(hit - right).sum())
            self._hold(sums, reader, answers, reference)

    @staticmethod
    def _outputs(made):
        return made if isinstance(made, list) else [made]

    def _right(self, name, answers, labels):
        """How right answers are, a list of arrays (n, …): floats (n,); 0 where what a figure is made of is kept."""
        answers = self.task.joined(answers)
        if self.task.PER_PICTURE:
            return self.task.scores(answers, labels)
        self.figures[name].add(answers, labels)
        return np.zeros(len(labels))

    def _hold(self, sums, reader, answers, reference):
        """Counts how far a file's answers are those of the model that it was made of."""
        steps = [output["quantization"][0] for output in reader.outputs]
        agreed, compared = self.task.agreement(self.task.joined(answers), self.task.joined(reference), steps[-1])
        sums.agreed += float(np.sum(agreed))
        sums.compared += int(np.sum(compared))
        for i, (made, wanted, step) in enumerate(zip(answers, reference, steps, strict=True)):
            errors = np.abs(made - wanted)
            sums.largest_error = float(np.maximum(sums.largest_error, errors.max()))  # of NaN, NaN
            errors = errors.max(-1) if len(answers) == 1 else errors
            sums.same[i] += int((errors < (step / 2 or FLOAT_NOISE)).sum())
            sums.values[i] += errors.size

    def figure(self, name="float"):
        """The task's figure of a format, or of the float model, in [0, 1]."""
        if not self.task.PER_PICTURE:
            return self.figures[name].scores()[self.task.BEST[0]]
        return (self.hits if name == "float" else self.sums[name].hits) / self.pictures

    def rows(self, paths, images):
        """One `Row` a format; latency is measured on `images`, uint8 (n, height, width, channels)."""
        latencies = measure_latency(paths, images)
        return [self._row(name, path, latencies[name]) for name, path in paths.items()]

    def interval(self, sums):
        """Half of the paired 95 % interval of a format's difference from the float model, or None."""
        n = self.pictures
        if not self.task.PER_PICTURE:
            return None
        # These two sums give the variance of single pictures' differences, rounded: it may be a little below 0.
        variance = max(0.0, sums.other_hits - (sums.hits - self.hits) ** 2 / n) / max(n - 1, 1)
        return float(1.96 * np.sqrt(variance / n))

    def _row(self, name, path, latency):
        sums, figure = self.sums[name], self.figure(name)
        same = {i: sums.same[i] / sums.values[i] for i in sums.values}
        return Row(
            name,
            path.stat().st_size,
            figure,
            figure - self.figure(),
            self.interval(sums),
            sums.agreed / max(1, sums.compared),
            same[0] if len(same) == 1 else dict(zip(self.task.contract.output.TENSORS, same.values(), strict=True)),
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


def header(output, score=""):
    """`HEADER` for files that answer with `logits`, `probabilities` or other `values`, and the figure's name."""
    return tuple(text.replace("logits", output).replace("accuracy", score or "accuracy") for text in HEADER)


def cells(row):
    """A row as texts, in the order of `HEADER`."""
    times = [f"{t['median']:.2f} ({t['p90']:.2f})" for t in row.latency.values()]
    return (
        row.format,
        f"{row.bytes:,}",
        f"{100 * row.accuracy:.2f} %",
        f"{100 * row.difference:+.2f}" + ("" if row.interval is None else f" ± {100 * row.interval:.2f}"),
        f"{row.agreement:.4f}",
        _shares(row.same_logits),
        f"{row.largest_error:.3f}",
        *times,
        f"{row.memory:.0f} MB",
        str(sum(row.operators.values())),
        str(row.float_tensors),
    )


def _shares(same):
    named = isinstance(same, dict)
    return ", ".join(f"{name} {part:.4f}" for name, part in same.items()) if named else f"{same:.4f}"


def table(rows, output="logits", score=""):
    """The comparison as aligned text; `output` is what the files answer, `score` the figure's name."""
    return aligned([header(output, score), *map(cells, rows)])


def aligned(lines):
    """Lines of texts, below one another."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in lines)


def markdown(rows, output="logits", score=""):
    """The comparison as a Markdown table."""
    return markdown_lines([header(output, score), *map(cells, rows)])


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
            axes.errorbar(*place, 100 * (row.interval or 0), fmt=marker, color=color, capsize=3, label=row.format)
        axes.set(xlabel=label, xlim=(0, 1.1 * max(map(x, rows))))
        axes.grid(alpha=0.3)
    low, high = both[0].get_ylim()
    both[0].set_ylim(min(low, 100 * float_accuracy - 0.5), min(max(high, 100 * float_accuracy + 0.5), 100.5))
    both[0].set_ylabel(f"{score} [%]")
    handles = both[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside right center")
    figure.suptitle(title)
    return figure


def named(score):
    """How a table's head calls a figure: accuracies are what it says anyway."""
    return "" if "accuracy" in score else score


def write(folder, rows, float_accuracy, title, about, score="top-1 accuracy"):
    """Writes the comparison as JSON, Markdown and picture."""
    from keras_resnet import drawing

    report = {**about, "float_accuracy": float_accuracy, "formats": [dataclasses.asdict(row) for row in rows]}
    files.write_json(folder / "comparison.json", report)
    files.write_text(folder / "comparison.md", markdown(rows, about["output"], named(score)))
    drawing.save(picture(rows, float_accuracy, title, score), folder / "comparison.png")
