"""Claim: 84.8 % of CIFAR-10's validation pictures (JPEG copy) in minutes, on two CPU cores.

    python -m benchmarks.sprint [--seeds=0,1,2,3,4] [--epochs=7] [--data_dir=…] [--torch]

`train.py --recipe=cifar10_sprint` once for each seed, and then the classic way for as long: He et al.'s ResNet-20 and
recipe in `train.py`, and with --torch in PyTorch (`pip install -e ".[bench]"`), each with its epochs cut to that time.
Time is training and validation, without start and report. Runs are resumable, in
runs/sprint/.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

import numpy as np

from benchmarks.trainings import mean_and_deviation, trained
from keras_resnet import environment
from keras_resnet.recipes import RECIPES

TARGET = 0.848


def reached(rows):
    """Minutes until the target, as a list of one; empty where it was never reached."""
    return [row["seconds"] / 60 for row in rows if row["val_accuracy"] >= TARGET][:1]


def torch_accuracy(minutes, folder, data_dir):
    """Validation accuracy and epochs of `benchmarks.torch_training` in so many minutes."""
    environment.load_tensorflow()
    from keras_resnet.data.loading import load_dataset

    data = load_dataset("cifar10", data_dir or None)
    splits = {"train": data.train, "validation": data.validation}
    arrays = {f"{name}_{part}": getattr(split, part) for name, split in splits.items() for part in ("images", "labels")}
    np.savez(folder / "cifar10.npz", **arrays)
    command = [sys.executable, "-m", "benchmarks.torch_training", str(folder / "cifar10.npz"), str(minutes)]
    result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return result["accuracy"], result["epochs"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    usual = RECIPES["cifar10_sprint"].epochs
    parser.add_argument("--epochs", type=int, default=usual, help="7 in float32, whose steps take longer")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--data_dir", default="")
    parser.add_argument("--torch", action="store_true", help="PyTorch for as long, too")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/sprint"))
    arguments = parser.parse_args()
    place = [f"--data_dir={arguments.data_dir}", f"--precision={arguments.precision}"]
    minutes, lasted, accuracies = [], [], []
    for seed in map(int, arguments.seeds.split(",")):
        flags = ["--recipe=cifar10_sprint", f"--epochs={arguments.epochs}", f"--seed={seed}", *place]
        _, rows = trained(arguments.out / f"sprint-{arguments.epochs}-{seed}", flags)
        minutes += reached(rows)
        lasted.append(rows[-1]["seconds"] / 60)
        accuracies.append(100 * rows[-1]["val_accuracy"])
        print(f"seed {seed}: {accuracies[-1]:.2f} % after {lasted[-1]:.2f} minutes", flush=True)
    after, end = mean_and_deviation(minutes, "{:.2f}"), mean_and_deviation(lasted, "{:.2f}")
    print(f"{TARGET:.1%} of validation: {len(minutes)} of {len(lasted)} seeds, after {after} minutes")
    print(f"at the end: {mean_and_deviation(accuracies, '{:.2f}')} % after {end} minutes")
    long = statistics.median(lasted)
    flags = ["--recipe=cifar10", *place]
    _, rows = trained(arguments.out / "classic-2", [*flags, "--epochs=2"])
    first, both = (row["seconds"] for row in rows)  # the first one is traced, too
    epochs = max(1, 1 + round((60 * long - first) / (both - first)))
    _, rows = trained(arguments.out / f"classic-{epochs}", [*flags, f"--epochs={epochs}"])
    print(f"classic recipe, {epochs} epochs, {rows[-1]['seconds'] / 60:.2f} minutes: {rows[-1]['val_accuracy']:.2%}")
    if arguments.torch:
        accuracy, epochs = torch_accuracy(long, arguments.out, arguments.data_dir)
        print(f"the same in PyTorch, {epochs:.1f} epochs, {long:.2f} minutes: {accuracy:.2%}")


if __name__ == "__main__":
    main()
