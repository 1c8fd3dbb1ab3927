"""`python -m keras_resnet.evaluation runs/NAME`: a run's report, its table and its figures, made from its folder.

The report's figures are of the best model on the validation pictures. `--split=test` is asked for once, for a result
that is published; the report counts how often it was.
"""

import datetime
import heapq
import pathlib
import statistics
import sys

import numpy as np
from absl import flags

from keras_resnet import environment, files, metrics, programs, runs
from keras_resnet.history import finished_epochs, read_history
from keras_resnet.preprocessing import ImageContract

WORST = 24


def evaluate(model, batches, names, total=None):
    """Runs a model over a split.

    Args:
        model: `keras.Model` from normalized pictures to logits.
        batches: `tf.data.Dataset` of (float32 pictures in [-1, 1), int labels).
        names: class names.
        total: pictures in the split, for the progress bar.

    Returns:
        (figures, logits, labels, worst): `metrics.summary`, float32 (n, classes), int64 (n,), and the mistakes with the
        largest loss, worst first, as `figures.mistakes` takes them.
    """
    import tqdm

    logits, labels, worst, seen = [], [], [], 0
    with tqdm.tqdm(total=total, unit=" images", desc="evaluation", disable=not sys.stderr.isatty()) as bar:
        for images, truth in batches.as_numpy_iterator():
            output = model.predict_on_batch(images)
            loss = metrics.losses(output, truth)
            for i in np.flatnonzero(output.argmax(-1) != truth):
                # `seen + i` breaks ties, so that no two dicts are compared.
                entry = (float(loss[i]), seen + int(i), _mistake(images[i], truth[i], output[i]))
                (heapq.heappushpop if len(worst) == WORST else heapq.heappush)(worst, entry)
            logits.append(output)
            labels.append(truth)
            seen += len(truth)
            bar.update(len(truth))
    logits, labels = np.concatenate(logits), np.concatenate(labels).astype(np.int64)
    return metrics.summary(logits, labels, names), logits, labels, [entry[2] for entry in sorted(worst, reverse=True)]


def report(run_dir, split="validation"):
    """Evaluates a run's best model, prints a table, writes `report.json` and `figures/`.

    Args:
        run_dir: the run's folder.
        split: `validation` or `test`.

    Returns:
        The report, a dict.

    Raises:
        RunError: no trained model is there, or the data set has changed since.
        DataError: its data set can't be had any more.
    """
    from keras_resnet.training import load_data, load_model

    run = runs.Run(pathlib.Path(run_dir))
    recipe = runs.load_recipe(run)
    if not run.model.exists():
        raise runs.RunError(f"{run.path}: no model.keras is there yet; train it first: the same command continues")
    contract = ImageContract.load(run.contract)
    history = read_history(run.history)
    data = load_data(recipe, run)
    model = load_model(run.model)
    result, logits, labels, worst = evaluate(model, data.evaluation(split), contract.labels, len(data.split(split)))
    old = files.read_json(run.report) if run.report.exists() else {}
    result["asked"] = old.get(split, {}).get("asked", 0) + 1
    result["date"] = datetime.date.today().isoformat()
    new = {**old, "training": _training(history, model, recipe), split: result}
    _draw(run, history, logits, labels, worst, contract.labels, f"{recipe.dataset} · {model.name} · {split}", split)
    files.write_json(run.report, new)
    print(table(new, split))
    print(f"report: {run.report}, figures: {run.figures}/")
    if split == "test" and result["asked"] > 1:
        print(f"the test split of this run has been asked for {result['asked']} times: choose on validation")
    return new


def has_report(run_dir, split):
    """Whether a split's report has been made."""
    path = runs.Run(pathlib.Path(run_dir)).report
    return path.exists() and split in files.read_json(path)


def table(made, split):
    """The report as lines for people."""
    training, result = made["training"], made[split]
    lines = [
        ("network", f"{training['model']}, {training['parameters']:,} trainable parameters"),
        ("training", f"{training['epochs']} epochs, {_duration(training['seconds'])}"),
        ("speed", f"{training['images_per_second']:,.0f} images/s (median step)"),
        ("peak memory", f"{training['peak_memory_mb']:,.0f} MB"),
        (f"{split} pictures", f"{result['images']:,}"),
        ("top-1 accuracy", f"{100 * result['top1_accuracy']:.2f} %"),
    ]
    if "top5_accuracy" in result:
        lines.append(("top-5 accuracy", f"{100 * result['top5_accuracy']:.2f} %"))
    lines.append(("loss", f"{result['loss']:.4f} nats"))
    lines.append(("calibration error", f"{100 * result['expected_calibration_error']:.2f} %"))
    recalls = {k: v["recall"] for k, v in result["per_class"].items() if v["recall"] is not None}
    worst = sorted(recalls, key=recalls.get)[:3]
    lines.append(("hardest classes", ", ".join(f"{name} {100 * recalls[name]:.1f} %" for name in worst)))
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:{width}}  {value}" for name, value in lines)


def _mistake(image, label, logits):
    probabilities = metrics.softmax(logits)
    return {
        "image": np.clip((image + 1) * 128, 0, 255).astype(np.uint8),
        "label": int(label),
        "prediction": int(logits.argmax()),
        "confidence": float(probabilities.max()),
    }


def _training(history, model, recipe):
    return {
        "model": model.name,
        "parameters": int(sum(np.prod(w.shape) for w in model.trainable_weights)),
        "epochs": finished_epochs(history),
        "epochs_planned": recipe.epochs,
        "best_epoch": int(max(history, key=lambda row: (row["val_accuracy"], -row["val_loss"]))["epoch"]),
        "seconds": history[-1]["seconds"],
        "images_per_second": statistics.median([row["images_per_second"] for row in history if row["epoch"]] or [0.0]),
        "peak_memory_mb": max(row["peak_memory_mb"] for row in history),
    }


def _draw(run, history, logits, labels, worst, names, title, split):
    from keras_resnet import events, figures

    matrix = metrics.confusion_matrix(logits.argmax(-1), labels, len(names))
    events.write_confusion(
        run.tensorboard, figures.pixels(figures.confusion(matrix, names, title)), int(history[-1]["step"])
    )
    confidences, correct = metrics.softmax(logits).max(-1), logits.argmax(-1) == labels
    for name, figure in {
        "curves": figures.curves(history, title.rsplit(" · ", 1)[0]),
        f"{split}_confusion": figures.confusion(matrix, names, title),
        f"{split}_reliability": figures.reliability(confidences, correct, title),
        f"{split}_mistakes": figures.mistakes(worst, names, f"{title}: the mistakes with the largest loss"),
    }.items():
        figures.save(figure, run.figures / f"{name}.png")


def _duration(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def main(argv):
    if len(argv) != 2:
        programs.fail(
            "evaluation", f"expected one folder, got {argv[1:]}; type python -m keras_resnet.evaluation runs/NAME"
        )
    environment.load_tensorflow()
    try:
        report(argv[1], flags.FLAGS.split)
    except (ValueError, OSError) as error:
        programs.fail("evaluation", error)


if __name__ == "__main__":
    flags.DEFINE_enum("split", "validation", ["validation", "test"], "Pictures to report on; ask for test once.")
    programs.start("evaluation", main)
