"""`python -m keras_resnet.evaluation runs/NAME`: a run's report, its table and its figures, made from its folder.

The report's figures are of the best model on the validation pictures. `--split=test` is asked for once, for a result
that is published; the report counts how often it was.
"""

import datetime
import heapq
import json
import pathlib
import statistics
import sys

import numpy as np
from absl import flags

from keras_resnet import environment, files, metrics, programs, recipes, runs
from keras_resnet.history import best_row, finished_epochs, read_history
from keras_resnet.preprocessing import ImageContract

WORST = 24
LINE = 120  # letters of a line of report.json
ACCURACIES = (
    ("top-1 accuracy", "top1_accuracy"),
    ("top-5 accuracy", "top5_accuracy"),
    ("balanced accuracy (macro recall)", "balanced_accuracy"),
    ("macro F1", "macro_f1"),
)


class Mistakes:
    """The mistakes with the largest loss of all batches added, worst first in `worst()`, for `figures.mistakes`."""

    def __init__(self, most=WORST):
        self.most, self.heap, self.seen = most, [], 0

    def add(self, images, logits, labels):
        """Adds a batch: float pictures in [-1, 1) (n, height, width, channels), logits (n, classes), ints (n,)."""
        loss = metrics.losses(logits, labels)
        wrong = np.flatnonzero(logits.argmax(-1) != labels)
        for i in wrong[np.argsort(-loss[wrong], kind="stable")][: self.most]:
            # `seen - i` breaks ties, so that no two dicts are compared, and the earlier picture stays.
            entry = (float(loss[i]), -self.seen - int(i), _mistake(images[i], labels[i], logits[i]))
            (heapq.heappushpop if len(self.heap) == self.most else heapq.heappush)(self.heap, entry)
        self.seen += len(labels)

    def worst(self):
        return [mistake for _, _, mistake in sorted(self.heap, key=lambda entry: entry[:2], reverse=True)]


def evaluate(model, batches, classes, total=None):
    """Runs a model over a split; memory grows with the batch and the classes, not with the split.

    Args:
        model: functional `keras.Model` from normalized pictures to logits.
        batches: `tf.data.Dataset` of (float32 pictures in [-1, 1), int labels).
        classes: their number.
        total: pictures in the split, for the progress bar.

    Returns:
        (`metrics.Accumulator`, `Mistakes`).
    """
    import tensorflow as tf
    import tqdm

    from keras_resnet import prediction

    predict = prediction.predictor(model, xla=bool(tf.config.list_logical_devices("GPU")))
    accumulated, mistakes = metrics.Accumulator(classes), Mistakes()
    with tqdm.tqdm(total=total, unit=" images", desc="evaluation", disable=not sys.stderr.isatty()) as bar:
        for images, truth in batches:
            logits, labels = predict(images), truth.numpy()
            accumulated.add(logits, labels)
            mistakes.add(images.numpy(), logits, labels)
            bar.update(len(labels))
    return accumulated, mistakes


def report(run_dir, split="validation", data=None, dataset=None, data_dir=None):
    """Evaluates a run's best model, prints a table, writes `report.json` and `figures/`.

    Args:
        run_dir: the run's folder.
        split: `validation` or `test`.
        data: the run's `Data`, where it is at hand; it is loaded otherwise.
        dataset, data_dir: where its data lies now; by default where it lay when it was trained.

    Returns:
        The report, a dict.

    Raises:
        RunError: no trained model is there (`runs.check_model`), or the data set has changed since.
        DataError: its data set can't be had any more.
    """
    from keras_resnet import prediction
    from keras_resnet.datasets import reading
    from keras_resnet.training import load_data

    run = runs.Run(pathlib.Path(run_dir))
    recipe = recipes.at(runs.load_recipe(run), dataset, data_dir)
    runs.check_model(run)
    contract = ImageContract.load(run.contract)
    data = data or load_data(recipe, run)
    model, weights, history = _best(run)
    batches = data.evaluation(split, prediction.batch_size(recipe))
    with reading(data):
        figures, mistakes = evaluate(model, batches, len(contract.labels), len(data.split(split)))
    old = files.read_json(run.report) if run.report.exists() else {}
    new = {
        **{name: part if _is_of(part, weights) else _asked(part) for name, part in old.items()},
        "training": _training(history, model, recipe),
        split: {
            **figures.summary(contract.labels),
            "model_sha256": weights,
            "asked": old.get(split, {}).get("asked", 0) + 1,
            "date": datetime.date.today().isoformat(),
        },
    }
    _draw(run, recipe, history, figures, mistakes, f"{recipe.dataset} · {model.name} · {split}", split)
    files.write_text(run.report, _text(new) + "\n")
    print(table(new, split))
    warning = figures.warning(contract.labels)
    if warning:
        print(f"warning: {warning}")
    print(f"report: {run.report}, figures: {run.figures}/")
    if split == "test" and new[split]["asked"] > 1:
        print(f"the test split of this run has been asked for {new[split]['asked']} times: choose on validation")
    return new


def has_report(run_dir, split):
    """Whether a split's report has been made, of the weights that are there now."""
    run = runs.Run(pathlib.Path(run_dir))
    if not (run.report.exists() and run.model.exists()):
        return False
    return files.read_json(run.report).get(split, {}).get("model_sha256") == files.sha256(run.model)


def table(made, split):
    """The report as lines for people."""
    training, result = made["training"], made[split]
    lines = [
        ("network", f"{training['model']}, {training['parameters']:,} trainable parameters"),
        ("training", f"{training['epochs']} epochs, {_duration(training['seconds'])}"),
        ("speed", f"{training['images_per_second']:,.0f} images/s (median step)"),
        ("peak memory", f"{training['peak_memory_mb']:,.0f} MB"),
        (f"{split} pictures", f"{result['images']:,}"),
    ]
    lines += [(name, f"{100 * result[key]:.2f} %") for name, key in ACCURACIES if key in result]
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
        "best": recipe.best,
        "best_epoch": int(best_row(history, recipe.best)["epoch"]),
        "seconds": history[-1]["seconds"],
        "images_per_second": statistics.median([row["images_per_second"] for row in history if row["epoch"]] or [0.0]),
        "peak_memory_mb": max(row["peak_memory_mb"] for row in history),
    }


def _best(run):
    """The best model, the SHA-256 of its file, and the history: a training that goes on may replace them meanwhile."""
    from keras_resnet.training import load_model

    while True:
        weights, history = files.sha256(run.model), read_history(run.history)
        model = load_model(run.model)
        if files.sha256(run.model) == weights:
            return model, weights, history


def _is_of(part, weights):
    """Whether a part of an old report is of these weights; older versions did not say of which theirs are."""
    return part.get("model_sha256", weights) == weights


def _asked(part):
    """What stays of a split's report when the model is another: how often it was asked for."""
    return {"asked": part["asked"]}


def _text(value, indent=""):
    """JSON in which a row of a table is a line: what fits into one is not spread over several."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or len(indent + line) <= LINE:
        return line
    deeper = indent + "  "
    if isinstance(value, list):
        return "[\n" + ",\n".join(deeper + _text(v, deeper) for v in value) + f"\n{indent}]"
    rows = (f"{deeper}{json.dumps(k, ensure_ascii=False)}: {_text(v, deeper)}" for k, v in value.items())
    return "{\n" + ",\n".join(rows) + f"\n{indent}}}"


def _draw(run, recipe, history, accumulated, mistakes, title, split):
    from keras_resnet import events, figures

    names = ImageContract.load(run.contract).labels
    confusion = figures.pixels(figures.confusion(accumulated, names, title))
    events.write_confusion(run.tensorboard, confusion, int(history[-1]["step"]))
    for name, figure in {
        "curves": figures.curves(history, title.rsplit(" · ", 1)[0], recipe.best),
        f"{split}_confusion": figures.confusion(accumulated, names, title),
        f"{split}_reliability": figures.reliability(accumulated.bins, title),
        f"{split}_mistakes": figures.mistakes(mistakes.worst(), names, f"{title}: the mistakes with the largest loss"),
    }.items():
        figures.save(figure, run.figures / f"{name}.png")


def _duration(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def main(argv):
    if len(argv) != 2:
        raise ValueError(f"expected one folder, got {argv[1:]}; type python -m keras_resnet.evaluation runs/NAME")
    environment.load_tensorflow()
    report(argv[1], flags.FLAGS.split, dataset=flags.FLAGS.dataset, data_dir=flags.FLAGS.data_dir)


if __name__ == "__main__":
    programs.define_places()
    flags.DEFINE_enum("split", "validation", ["validation", "test"], "Pictures to report on; ask for test once.")
    programs.start("evaluation", main)
