"""Claim: 84.8 % of CIFAR-10's validation pictures (JPEG copy) in minutes, on two CPU cores.

    python -m benchmarks.sprint [--seeds=0,1,2,3,4] [--data_dir=…] [--torch]

`train.py --recipe=cifar10_sprint` once for each seed, and, after the first, the classic way to the same network for as
long: He et al.'s recipe in `train.py`, and with --torch in PyTorch (`pip install -e ".[bench]"`), each with its epochs
cut to that time. Time is training and validation, without start and report. Runs are resumable, in runs/sprint/.
"""

import argparse
import dataclasses
import math
import pathlib
import statistics
import time

import numpy as np

from benchmarks.trainings import mean_and_deviation, trained
from keras_resnet.recipes import RECIPES

TARGET = 0.848
CLASSIC = RECIPES["cifar10"]


def reached(rows):
    """Minutes until the target; NaN where it was never reached."""
    return next((row["seconds"] / 60 for row in rows if row["val_accuracy"] >= TARGET), math.nan)


def torch_accuracy(minutes, data_dir):
    """ResNet-20 in PyTorch by He et al.'s recipe: validation accuracy after so many minutes, and its epochs.

    The rate falls at a half and three quarters of the time instead of the epochs.
    """
    import torch

    from benchmarks.training_step import torch_network
    from keras_resnet.data.loading import load_data

    data = load_data(dataclasses.replace(CLASSIC, data_dir=data_dir))
    images, validation = (torch.tensor(split.images).permute(0, 3, 1, 2) for split in (data.train, data.validation))
    labels, expected = (torch.tensor(split.labels.astype("int64")) for split in (data.train, data.validation))
    torch.manual_seed(0)
    net = torch_network()
    optimizer = torch.optim.SGD(net.parameters(), 0.1, 0.9, nesterov=True, weight_decay=1e-4)
    loss, spent, done = torch.nn.CrossEntropyLoss(), 0.0, 0
    random, began = np.random.default_rng(0), time.monotonic()
    order = []
    while (spent := time.monotonic() - began) < 60 * minutes:
        if len(order) < CLASSIC.batch_size:
            order = random.permutation(len(images))
        batch, order = order[: CLASSIC.batch_size], order[CLASSIC.batch_size :]
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * 0.1 ** sum(spent >= part * 60 * minutes for part in (0.5, 0.75))
        x = torch.nn.functional.pad(images[batch].float() / 128 - 1, (4, 4, 4, 4))
        crops = zip(x, random.integers(0, 9, (len(x), 2)), random.random(len(x)) < 0.5, strict=True)
        x = torch.stack(
            [c[:, i : i + 32, j : j + 32].flip(2) if f else c[:, i : i + 32, j : j + 32] for c, (i, j), f in crops]
        )
        optimizer.zero_grad()
        loss(net(x.contiguous(memory_format=torch.channels_last)), labels[batch]).backward()
        optimizer.step()
        done += len(batch)
    net.eval()
    with torch.no_grad():
        answers = torch.cat([net(part.float() / 128 - 1).argmax(1) for part in validation.split(500)])
    return (answers == expected).float().mean().item(), done / len(images)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--data_dir", default="")
    parser.add_argument("--torch", action="store_true", help="PyTorch for as long, too")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/sprint"))
    arguments = parser.parse_args()
    place = [f"--data_dir={arguments.data_dir}", f"--precision={arguments.precision}"]
    minutes, accuracies = [], []
    for seed in map(int, arguments.seeds.split(",")):
        _, rows = trained(arguments.out / f"sprint-{seed}", ["--recipe=cifar10_sprint", f"--seed={seed}", *place])
        minutes.append(reached(rows))
        accuracies.append(100 * rows[-1]["val_accuracy"])
        print(
            f"seed {seed}: {TARGET:.1%} after {minutes[-1]:.2f} minutes, {accuracies[-1]:.2f} % at the end", flush=True
        )
    print(f"{TARGET:.1%} of validation: {mean_and_deviation(minutes, '{:.2f}')} minutes")
    print(f"at the end: {mean_and_deviation(accuracies, '{:.2f}')} %")
    long = statistics.median(minutes)
    flags = ["--recipe=cifar10", *place]
    _, rows = trained(arguments.out / "classic-1", [*flags, "--epochs=1"])
    epochs = max(1, round(60 * long / rows[0]["seconds"]))
    _, rows = trained(arguments.out / f"classic-{epochs}", [*flags, f"--epochs={epochs}"])
    print(f"classic recipe, {epochs} epochs, {rows[-1]['seconds'] / 60:.2f} minutes: {rows[-1]['val_accuracy']:.2%}")
    if arguments.torch:
        accuracy, epochs = torch_accuracy(long, arguments.data_dir)
        print(f"the same in PyTorch, {epochs:.1f} epochs, {long:.2f} minutes: {accuracy:.2%}")


if __name__ == "__main__":
    main()
