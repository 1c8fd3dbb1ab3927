"""Claim: with few pictures, a network that has learned from others' beats one from scratch, at the same budget.

    python -m benchmarks.few_pictures PHOTOS/ [--init=cifar10-jpeg-resnet20] [--counts=10,30,100] [--seeds=0,1,2]

Of PHOTOS/train so many pictures of each class are drawn to learn from, as many others to choose the epoch with;
PHOTOS/validation is the test split, asked for once by each network. Three ways: `finetune`, `probe` (the last layer
alone), and the same network from scratch, with as many steps on pictures changed in the same way. Runs are resumable,
in runs/few/; the table and the picture are made at the end.
"""

import argparse
import pathlib
import shutil
import statistics

import numpy as np

from benchmarks.trainings import markdown, mean_and_deviation, trained
from keras_resnet import drawing, environment, runs

WAYS = {
    "finetune": ["--recipe=finetune"],
    "probe": ["--recipe=probe"],
    "scratch": [
        *("--depth=20", "--stem=small", "--crop_fraction=1", "--augmentation=resized_crop,flip", "--batch_size=32"),
        *("--schedule=one_cycle", "--warmup=0.15", "--weight_decay=5e-4"),
    ],
}
NAMES = {"finetune": "fine-tuned", "probe": "last layer alone", "scratch": "from scratch"}


def draw(photos, count, seed, folder):
    """Links `count` pictures a class to learn from and as many to validate with; all that PHOTOS validates with tests.

    Args:
        photos: folder with `train` and `validation`, of a folder a class.
        count: pictures of each class.
        seed: of the drawing.
        folder: where the links go, once all are made.
    """
    final, folder = folder, folder.with_suffix(".partial")
    shutil.rmtree(folder, ignore_errors=True)
    random = np.random.default_rng(seed)
    for class_folder in sorted((photos / "train").iterdir()):
        drawn = random.permutation(sorted(class_folder.iterdir()))[: 2 * count]
        for split, part in (("train", drawn[:count]), ("validation", drawn[count:])):
            place = folder / split / class_folder.name
            place.mkdir(parents=True)
            for path in part:
                (place / path.name).symlink_to(path.resolve())
    (folder / "test").symlink_to((photos / "validation").resolve())
    folder.rename(final)


def accuracy(way, count, seed, arguments):
    """Accuracy on the test split, in percent, of a network that is trained where it has not been yet."""
    photos = arguments.out / f"photos-{count}-{seed}"
    if not photos.exists():
        draw(arguments.photos, count, seed, photos)
    flags = [f"--dataset={photos}", f"--image_size={arguments.image_size}", f"--seed={seed}", *WAYS[way]]
    flags += [f"--precision={arguments.precision}"]
    if way == "scratch":
        finetuned = runs.Run(arguments.out / f"finetune-{count}-{seed}")
        flags += [f"--epochs={runs.chosen(finetuned)['epochs']}"]
    else:
        flags += [f"--init={arguments.init}"]
    folder = arguments.out / f"{way}-{count}-{seed}"
    report, _ = trained(folder, flags, "test")
    if way == "scratch" and network(folder) != network(finetuned.path):
        raise SystemExit(
            f"{folder}: another network than {finetuned.path} has; --init is no ResNet-20 of small pictures"
        )
    return 100 * report["top1_accuracy"]


def network(folder):
    """What two runs have in common whose networks do the same with pictures of the same part."""
    environment.load_tensorflow()
    import keras

    from keras_resnet.networks.counting import multiplications

    run = runs.Run(folder)
    model = keras.models.load_model(run.model)
    return model.count_params(), multiplications(model), runs.load_contract(run).input


def picture(results, path):
    """Mean accuracies and their standard deviations over the number of pictures."""
    counts = sorted({count for _, count in results})
    figure, axes = drawing.pyplot.subplots(figsize=(6.4, 4), layout="constrained")
    for (way, name), colour, marker in zip(NAMES.items(), drawing.PALETTE, "os^", strict=False):
        accuracies = [results.get((way, count), []) for count in counts]
        spreads = [statistics.stdev(of) if len(of) > 1 else 0 for of in accuracies]
        axes.errorbar(
            counts,
            [statistics.mean(of) for of in accuracies],
            spreads,
            marker=marker,
            color=colour,
            label=name,
            capsize=3,
        )
    axes.set(xscale="log", xlabel="pictures of each class", ylabel="top-1 accuracy on test pictures, %", ylim=(0, None))
    axes.set_xticks(counts, counts)
    axes.minorticks_off()
    axes.set_title("ResNet-20 on few pictures (Imagenette), mean and deviation over seeds")
    axes.legend()
    axes.grid(alpha=0.3)
    drawing.save(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=pathlib.Path, help="folder with train/ and validation/, of a folder a class")
    parser.add_argument("--init", default="cifar10-jpeg-resnet20", help="what to fine-tune; a ResNet-20")
    parser.add_argument("--counts", default="10,30,100", help="pictures of each class")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--image_size", type=int, default=64)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/few"))
    arguments = parser.parse_args()
    results = {}
    counts = [int(count) for count in arguments.counts.split(",")]
    for seed in map(int, arguments.seeds.split(",")):
        for count in counts:
            for way in WAYS:
                results.setdefault((way, count), []).append(accuracy(way, count, seed, arguments))
                print(f"{count} a class, seed {seed}, {NAMES[way]}: {results[way, count][-1]:.1f} %", flush=True)
    rows = [(str(count), *(mean_and_deviation(results[way, count]) for way in WAYS)) for count in counts]
    print("\n".join(markdown(("pictures a class", *NAMES.values()), rows)))
    picture(results, arguments.out / "few_pictures.png")


if __name__ == "__main__":
    main()
