"""Claim: several processes cost at most a tenth of the speed of one with as many threads, where norms need not wait.

    python -m benchmarks.scaling [--rounds=3] [--batch_size=256] [--out=runs/scaling]

ResNet-20 learns random pictures of CIFAR-10's size, float32, on this machine's CPU: one process, two and three, each of
a thread, that train as one by --strategy=multi_worker, beside one process of as many threads. All share the machine's
cores, so that what is seen is the price of the engine, not what further machines bring. Then one process with all
cores: batch size against memory, depth and width against the time of a step. Configurations take turns in rounds; what
counts is the median over the rounds of the median step. Figures are printed, and drawn in OUT/scaling.png.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile

from benchmarks.trainings import markdown

STEPS = 12  # an epoch; the second one counts
# Of each process: how many there are, their threads, and what norms are computed of.
PROCESSES = {
    "one process, 1 thread": (1, 1, "auto"),
    "one process, 2 threads": (1, 2, "auto"),
    "2 processes of 1 thread, norms of each part": (2, 1, "per_replica"),
    "2 processes of 1 thread, synchronized norms": (2, 1, "synchronized"),
    "one process, 3 threads": (1, 3, "auto"),
    "3 processes of 1 thread, norms of each part": (3, 1, "per_replica"),
    "3 processes of 1 thread, synchronized norms": (3, 1, "synchronized"),
}
BATCHES = (32, 64, 128, 256, 512)
DEPTHS, WIDTHS = (8, 14, 20, 32, 44, 56), (0.5, 1.0, 2.0)


def train(fields, batch_size):
    """Trains two short epochs in this process, with fields of a recipe; prints the second one's row as JSON."""
    from keras_resnet import environment

    environment.load_tensorflow()
    import numpy as np

    from keras_resnet.data import given
    from keras_resnet.device.classes import Classes
    from keras_resnet.device.contract import Contract
    from keras_resnet.device.picture import Picture
    from keras_resnet.history import read_history
    from keras_resnet.recipes import RECIPES
    from keras_resnet.training import trainer

    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (STEPS * batch_size, 32, 32, 3), np.uint8)
    labels = rng.integers(0, 10, len(pictures))
    contract = Contract(Picture(32, 32, 3), Classes(tuple("abcdefghij")))
    data = given.make(((pictures, labels), (pictures[:batch_size], labels[:batch_size])), contract)
    usual = {"dataset": "given", "epochs": 2, "batch_size": batch_size, "learning_rate": 0.01, "precision": "float32"}
    recipe = dataclasses.replace(RECIPES["cifar10"], **usual, **fields)
    with tempfile.TemporaryDirectory() as folder:
        run_dir = pathlib.Path(folder, "run")
        trainer.train(recipe, run_dir, data=data)
        if (run_dir / "history.csv").exists():  # the chief's
            print(json.dumps(read_history(run_dir / "history.csv")[-1]))


def measured(fields, batch_size, processes=1, threads=None):
    """The row of a training in processes of its own, each of so many threads."""
    with contextlib.ExitStack() as open_sockets:
        free = [open_sockets.enter_context(socket.create_server(("", 0))) for _ in range(processes)]
        addresses = [f"localhost:{one.getsockname()[1]}" for one in free]
    started = []
    for index in range(processes):
        environment = dict(os.environ)
        if threads:
            environment |= {f"TF_NUM_{kind}_THREADS": str(threads) for kind in ("INTRAOP", "INTEROP")}
        if processes > 1:
            task = {"type": "worker", "index": index}
            environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
        command = [sys.executable, "-m", "benchmarks.scaling", f"--one={json.dumps(fields)}"]
        command += [f"--batch_size={batch_size}"]
        quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        started.append(subprocess.Popen(command, env=environment, **quiet))
    said = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        sys.exit(f"{fields}: a process of this benchmark failed")
    return json.loads(said[0].splitlines()[-1])


def configurations(batch_size):
    """Name -> what `measured` is asked for."""
    several = {
        name: (
            {"strategy": "multi_worker" if count > 1 else "one_device", "batch_norm": norm},
            batch_size,
            count,
            threads,
        )
        for name, (count, threads, norm) in PROCESSES.items()
    }
    batches = {f"batch {size}": ({}, size) for size in BATCHES}
    shapes = {f"depth {depth}": ({"depth": depth}, 128) for depth in DEPTHS}
    return several | batches | shapes | {f"width {width}": ({"width": width}, 128) for width in WIDTHS}


def draw(found, path):
    """One picture: what several processes cost, what a batch takes, what depth and width take."""
    from keras_resnet import drawing

    figure, (left, middle, right) = drawing.pyplot.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
    speeds = [found[name]["images_per_second"] for name in PROCESSES]
    colours = [drawing.GRAY if count == 1 else drawing.BLUE for count, *_ in PROCESSES.values()]
    places = range(len(PROCESSES))[::-1]
    left.barh(places, speeds, color=colours)
    left.set_yticks(places, [name.replace(", ", ",\n") for name in PROCESSES], fontsize=8)
    for place, speed in zip(places, speeds, strict=True):
        left.text(speed, place, f" {speed:,.0f}", va="center", fontsize=8)
    left.set(xlabel="training speed [images/s]", title="What several processes cost", xlim=(0, max(speeds) * 1.15))
    middle.plot(BATCHES, [found[f"batch {size}"]["peak_memory_mb"] for size in BATCHES], "o-", color=drawing.BLUE)
    middle.set(xlabel="batch size", ylabel="peak memory of the process [MB]", title="ResNet-20, 32x32 pixels", ylim=0)
    milliseconds = {name: 128e3 / found[name]["images_per_second"] for name in found if name[0] in "dw"}
    right.plot(DEPTHS, [milliseconds[f"depth {depth}"] for depth in DEPTHS], "o-", color=drawing.BLUE, label="width 1")
    wide = [milliseconds[f"width {width}"] for width in WIDTHS]
    right.plot([20] * len(WIDTHS), wide, "s", color=drawing.ORANGE, label="depth 20, width 0.5, 1, 2")
    right.set(xlabel="depth [layers]", ylabel="step of 128 pictures [ms]", title="Depth and width", ylim=0)
    right.legend()
    for axes in (middle, right):
        axes.grid(alpha=0.3)
    drawing.save(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch_size", type=int, default=256, help="of all processes together, about")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/scaling"))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        train(json.loads(options.one), options.batch_size)
        return
    rows = {}
    for number in range(options.rounds):
        for name, asked in configurations(options.batch_size // 6 * 6).items():
            rows.setdefault(name, []).append(measured(*asked))
            print(f"round {number + 1}: {name}: {rows[name][-1]['images_per_second']:,.0f} images/s", flush=True)
    figures = ("images_per_second", "peak_memory_mb")
    found = {name: {of: statistics.median(row[of] for row in made) for of in figures} for name, made in rows.items()}
    lines = [(name, f"{of['images_per_second']:,.0f}", f"{of['peak_memory_mb']:,.0f}") for name, of in found.items()]
    print("\n".join(markdown(("", "images/s", "peak memory [MB]"), lines)))
    draw(found, options.out / "scaling.png")
    print(f"picture: {options.out / 'scaling.png'}")


if __name__ == "__main__":
    main()
