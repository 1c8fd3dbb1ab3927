"""Claim: ours alone goes from a Keras 3 network, by learning, to a pure int8 `.tflite` that answers as it learned to.

    python -m benchmarks.quantizers [--rows=ours-8,hgq2-4,…] [--epochs=3] [--pictures=0]
        [--edge_python=PYTHON] [--hgq2_python=PYTHON] [--qkeras_python=PYTHON]

The shipped ResNet-8 of CIFAR-10 through our quantizer, tensorflow-model-optimization's, TFLite's and
ai-edge-quantizer's after training, HGQ2's and QKerasV3's (with 8 and 4 bits for the weights, 8 for activations). All
that learn have the same start, pictures, teacher, optimizer and epochs (`benchmarks.quantizing_tools`). Files run in
LiteRT over all validation pictures; HGQ2 and QKerasV3 aim at FPGAs, and their file is what TensorFlow's converter makes
of their model. A row whose tool is not installed stays empty and says what to install; `--…_python` names the Python of
an environment that has this project and the tool. Rows that are there are not made again.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys

import numpy as np

from benchmarks.quantizing_tools import LAYERS, MAKERS, MODEL
from benchmarks.trainings import markdown
from keras_resnet import environment, files

HOW = {
    "ours": "learned",
    "tfmot": "learned, of a Keras 2 twin",
    "tflite": "ranges alone",
    "edge": "ranges alone, of the float file",
    "hgq2": "learned",
    "qkeras": "learned",
}
HEAD = ("row", "tool", "how", "simulated", "in LiteRT", "bytes", "operators in float")
HEAD += ("file as simulated", "simulated or file as in float", "layers refused")


def made(row, arguments):
    """Makes a row in a process of its own; returns its folder and None, or what kept it from being made."""
    folder = arguments.out / row
    python = getattr(arguments, f"{row.split('-')[0]}_python", sys.executable)
    command = [python, "-m", "benchmarks.quantizing_tools", row, str(folder)]
    command += [str(arguments.epochs), str(arguments.pictures)]
    for _ in range(1 + len(LAYERS)):  # a layer that it is tried with may crash it
        process = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if process.returncode >= 0 or not (folder / "refused.json").exists():
            break
    if not process.returncode:
        return folder, None
    lines = process.stderr.strip().splitlines() if process.returncode > 0 else []
    return folder, lines[-1] if lines else f"its process ended with {process.returncode}"


def answers(path, content, data):
    """A file's logits for the validation pictures, which our reader gives it scaled as the contract says."""
    from export import comparison, metadata
    from keras_resnet.device.reader import Reader

    path = path.with_name("with_contract.tflite")
    files.write_bytes(path, metadata.embed(content, data.contract, metadata.Card(MODEL)))
    reader = Reader(path)
    shown = (image for images, _ in comparison.batches(data, "validation") for image in images)
    return np.stack([reader.dequantize(reader.run(image)) for image in shown]), reader


def in_float(content, reader):
    """How many of a file's operators compute in float, and how many there are."""
    from export import comparison, purity

    io = np.dtype(reader.input["dtype"]).name
    found = [left for left in purity.impurities(content, io, again=True) if left.endswith("in float")]
    return f"{len(found)} of {sum(comparison.operators(reader.interpreter).values())}"


def cells(row, folder, data, labels, expected, task):
    """What a row that is there has shown, as texts in the order of `HEAD`."""
    about = files.read_json(folder / "made.json")
    name, bits = row.split("-")
    texts = [row, f"{about['package']} {about['version']}", f"{HOW[name]}, {bits}-bit weights"]
    logits = {}
    if (folder / "simulation.npy").exists():
        logits["simulated"] = np.load(folder / "simulation.npy")
    size = left = ""
    if (folder / "model.tflite").exists():
        content = (folder / "model.tflite").read_bytes()
        logits["file"], reader = answers(folder / "model.tflite", content, data)
        size, left = f"{len(content):,}", in_float(content, reader)
    else:
        size = f"no .tflite: {about['refusal']}"

    def percent(values):
        return f"{100 * float(np.mean(values)):.2f} %"

    for kind in ("simulated", "file"):
        texts.append(percent(task.scores(logits[kind], labels)) if kind in logits else "")
    both = task.agreement(logits["file"], logits["simulated"])[0] if len(logits) == 2 else None
    last = logits.get("file", logits.get("simulated"))
    texts += [size, left, "" if both is None else percent(both), percent(task.agreement(last, expected)[0])]
    refused = files.read_json(folder / "refused.json")
    return (*texts, ", ".join(name for name, why in refused.items() if why))


def shown(there, arguments):
    """Prints the float network's accuracy; returns the texts of the rows that are there, a dict by name of folders."""
    environment.load_tensorflow()
    from benchmarks.quantizing_tools import lesson
    from export import comparison

    model, _, learn = lesson(arguments.epochs, arguments.pictures)
    labels = np.concatenate([labels for _, labels in comparison.batches(learn.data, "validation")])
    expected = learn.answers(model.predict_on_batch)
    print(f"float: {100 * learn.accuracy(expected):.2f} %")
    return [cells(row, folder, learn.data, labels, expected, learn.task) for row, folder in there.items()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(MAKERS), help="of all, separated by commas")
    parser.add_argument("--epochs", type=int, default=3, help="of learning")
    parser.add_argument("--pictures", type=int, default=0, help="of training, drawn once; 0 for all of them")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/quantizers"), help="a folder")
    for name in ("tfmot", "edge", "hgq2", "qkeras"):
        parser.add_argument(f"--{name}_python", default=sys.executable, help="Python of an environment that has it")
    arguments = parser.parse_args()
    if unknown := [row for row in arguments.rows.split(",") if row not in MAKERS]:
        parser.error(f"--rows: no {unknown[0]}; there are {', '.join(MAKERS)}")
    for name in ("tfmot", "edge", "hgq2", "qkeras"):
        if not shutil.which(python := getattr(arguments, f"{name}_python")):
            parser.error(f"--{name}_python={python}: no program")
    there, rows = {}, []
    for row in arguments.rows.split(","):
        folder, problem = made(row, arguments)
        print(f"{row}: {problem or 'made'}", flush=True)
        if problem:
            rows.append((row, problem, *[""] * (len(HEAD) - 2)))
        else:
            there[row] = folder
    if there:
        rows += shown(there, arguments)
    print("\n".join(markdown(HEAD, sorted(rows, key=lambda row: list(MAKERS).index(row[0])))))


if __name__ == "__main__":
    main()
