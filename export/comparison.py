"""The proof: Keras beside every `.tflite` on the same pictures, each file read by the reference reader.

One table: bytes, accuracy, its difference from the float model with a 95 % interval; the share of pictures for which
the file names the class that its Keras model names (agreement), and for which it gives all of that model's logits; the
largest logit error; latency for one and two threads, peak memory, operators, float tensors left.
"""

import collections
import dataclasses
import statistics
import subprocess
import sys
import time

import numpy as np
import tqdm

from keras_resnet import files
from raspberry_pi.classifier import Classifier

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


def pixels_of(data, split):
    """All pictures of a split as the contract prepares them, uint8 (n, height, width, channels), and their labels."""
    images, labels = [], []
    for batch, truth in data.split(split).batches(data.contract, 256).as_numpy_iterator():
        images.append(batch)
        labels.append(truth)
    return np.concatenate(images), np.concatenate(labels)


def compare(paths, references, images, labels, threads=1):
    """Runs every file over all pictures.

    Args:
        paths: format -> path of its `.tflite`.
        references: format -> float32 logits (n, classes) of the Keras model that the format was made of; `float` ->
            those of the float model.
        images, labels: uint8 (n, height, width, channels) and ints (n,).
        threads: of LiteRT, for the answers.

    Returns:
        List of `Row`.
    """
    correct = references["float"].argmax(-1) == labels
    latencies = measure_latency(paths, images)
    rows = []
    for name, path in paths.items():
        reader = Classifier(path, threads)
        logits = run(reader, images, name)
        reference = references.get(name, references["float"])
        differences = (logits.argmax(-1) == labels).astype(float) - correct
        details = reader.interpreter.get_tensor_details()
        half_a_step = reader.output["quantization"][0] / 2
        rows.append(
            Row(
                name,
                path.stat().st_size,
                float((logits.argmax(-1) == labels).mean()),
                float(differences.mean()),
                float(1.96 * differences.std(ddof=1) / np.sqrt(len(labels))),
                float((logits.argmax(-1) == reference.argmax(-1)).mean()),
                float((np.abs(logits - reference) < (half_a_step or FLOAT_NOISE)).all(-1).mean()),
                float(np.abs(logits - reference).max()),
                latencies[name],
                peak_memory(path),
                dict(collections.Counter(op["op_name"] for op in reader.interpreter._get_ops_details())),
                sum(t["dtype"] in (np.float16, np.float32) for t in details),
            )
        )
    return rows


def run(reader, images, name):
    """Logits (n, classes) of a file for uint8 pictures (n, height, width, channels), with a bar called `name`."""
    bar = tqdm.tqdm(images, name, unit=" images", leave=False, disable=not sys.stderr.isatty())
    return np.stack([reader.dequantize(reader.run(image)) for image in bar])


def measure_latency(paths, images, runs=LATENCY_RUNS):
    """Milliseconds of one picture, median and 90th percentile, for one and two threads; all formats take turns.

    The first tenth of the runs warms up and is not counted.
    """
    readers = {(name, n): Classifier(path, n) for name, path in paths.items() for n in (1, 2)}
    times = {key: [] for key in readers}
    for turn in range(runs):
        image = images[turn % len(images)]
        for key, reader in readers.items():
            began = time.perf_counter()
            reader.run(image)
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


def table(rows):
    """The comparison as aligned text."""
    lines = [HEADER, *map(cells, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADER))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in lines)


def markdown(rows):
    """The comparison as a Markdown table."""
    lines = [HEADER, ["---"] * len(HEADER), *map(cells, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def picture(rows, float_accuracy, title):
    """Accuracy against size, and against latency of one thread; bars are the 95 % interval of the difference."""
    from keras_resnet.figures import GRAY, PALETTE, pyplot

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
    both[0].set_ylabel("top-1 accuracy [%]")
    handles = both[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside right center")
    figure.suptitle(title)
    return figure


def write(folder, rows, float_accuracy, title, about):
    """Writes the comparison as JSON, Markdown and picture."""
    from keras_resnet import figures

    report = {**about, "float_accuracy": float_accuracy, "formats": [dataclasses.asdict(row) for row in rows]}
    files.write_json(folder / "comparison.json", report)
    files.write_text(folder / "comparison.md", markdown(rows))
    figures.save(picture(rows, float_accuracy, title), folder / "comparison.png")
