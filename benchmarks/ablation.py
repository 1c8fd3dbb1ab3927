"""Claim: which parts of a recipe earn their keep for a small network in a short training, and which do not.

    python -m benchmarks.ablation [--depth=8] [--epochs=12] [--seeds=0,1,2] [--data_dir=…]

From one base, one change at a time; accuracy on CIFAR-10's validation pictures (the epoch is chosen on them, in all
alike). Runs are resumable, in runs/ablation/; the table and the picture are made at the end.
"""

import argparse
import pathlib
import statistics

from benchmarks.trainings import markdown, mean_and_deviation, trained
from keras_resnet import drawing

BASE = {
    "recipe": "cifar10_fast",
    "batch_size": 256,
    "optimizer": "muon",
    "learning_rate": 0.02,
    "weight_decay": 0.005,
    "augmentation": "crop,flip",
}
CHANGES = {
    "base": {},
    "SGD": {"optimizer": "sgd", "learning_rate": 0.3, "weight_decay": 5e-4},
    "AdamW": {"optimizer": "adamw", "learning_rate": 0.01, "weight_decay": 0.05},
    "half the rate": {"learning_rate": 0.01},
    "twice the rate": {"learning_rate": 0.04},
    "no weight decay": {"weight_decay": 0},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "moving average 0.999": {"ema": 0.999},
    "cutout": {"augmentation": "crop,flip,cutout"},
    "TrivialAugment": {"augmentation": "crop,flip,trivial"},
    "mixup 0.2": {"mixup": 0.2},
    "CutMix 1": {"cutmix": 1.0},
    "no flips": {"augmentation": "crop"},
    "sides from 24 to 32 pixels": {"progressive": 0.75},
    "squeeze-and-excitation": {"se": 0.25},
    "ResNet-D's shortcut": {"shortcut": "pool"},
}


def picture(accuracies, title, path):
    """Each change's difference from the base: mean and single seeds, the best on top."""
    base = statistics.mean(accuracies["base"])
    names = sorted((name for name in accuracies if name != "base"), key=lambda n: statistics.mean(accuracies[n]))
    figure, axes = drawing.pyplot.subplots(figsize=(7, 0.6 + 0.32 * len(names)), layout="constrained")
    for place, name in enumerate(names):
        differences = [accuracy - base for accuracy in accuracies[name]]
        colour = drawing.BLUE if statistics.mean(differences) > 0 else drawing.ORANGE
        axes.plot(
            [0, statistics.mean(differences)],
            [place, place],
            color=colour,
            linewidth=6,
            alpha=0.5,
            solid_capstyle="butt",
        )
        axes.scatter(differences, [place] * len(differences), s=14, color=colour)
    axes.axvline(0, color="black", linewidth=1)
    spread = [accuracy - base for accuracy in accuracies["base"]]
    axes.axvspan(min(spread), max(spread), color=drawing.GRAY, alpha=0.3, label="the base's seeds")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("points of accuracy more than the base; dots: single seeds")
    axes.set_title(title)
    figure.legend(loc="outside lower center", fontsize=9)
    axes.grid(axis="x", alpha=0.3)
    drawing.save(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--changes", default=",".join(CHANGES), help="of them, the base first")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--data_dir", default="")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/ablation"))
    arguments = parser.parse_args()
    common = {name: getattr(arguments, name) for name in ("depth", "epochs", "precision", "data_dir")}
    accuracies, seconds = {}, {}
    for seed in map(int, arguments.seeds.split(",")):
        for name in arguments.changes.split(","):
            flags = [f"--{key}={value}" for key, value in ({**BASE, **common, **CHANGES[name]}).items()]
            folder = arguments.out / f"resnet{arguments.depth}-{arguments.epochs}" / f"{name.replace(' ', '-')}-{seed}"
            report, rows = trained(folder, [*flags, f"--seed={seed}"])
            accuracies.setdefault(name, []).append(100 * report["top1_accuracy"])
            seconds.setdefault(name, []).append(1 / statistics.median(row["images_per_second"] for row in rows))
            print(f"{name}, seed {seed}: {accuracies[name][-1]:.2f} %", flush=True)
    base, slow = statistics.mean(accuracies["base"]), statistics.median(seconds["base"])
    rows = [
        (
            name,
            mean_and_deviation(accuracies[name], "{:.2f}"),
            f"{statistics.mean(accuracies[name]) - base:+.2f}",
            f"{statistics.median(seconds[name]) / slow:.2f}",
        )
        for name in sorted(accuracies, key=lambda name: -statistics.mean(accuracies[name]))
    ]
    print("\n".join(markdown(("change", "accuracy, %", "difference", "time of a step"), rows)))
    title = (
        f"ResNet-{arguments.depth}, {arguments.epochs} epochs of CIFAR-10 (JPEG q75 copy)\none change each, validation"
    )
    picture(accuracies, title, arguments.out / "ablation.png")


if __name__ == "__main__":
    main()
