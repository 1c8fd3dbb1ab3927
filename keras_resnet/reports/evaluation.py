"""`python -m keras_resnet.evaluation runs/NAME`: a run's report, its table and its figures, made from its folder.

The report's figures are of the best model on the validation pictures. `--split=test` is asked for once, for a result
that is published; the report counts how often it was.
"""

import datetime
import json
import pathlib
import statistics
import sys

import numpy as np
from absl import flags

from keras_resnet import environment, files, programs, recipes, runs, tasks
from keras_resnet.history import best_row, finished_epochs, read_history

LINE = 120  # letters of a line of report.json
ANEW = "remove it: keras-resnet evaluate makes it anew"


def evaluate(model, batches, task, total=None):
    """Runs a model over a split; memory grows with the batch and the classes, not with the split.

    Args:
        model: functional `keras.Model` from normalized pictures to the task's outputs.
        batches: `tf.data.Dataset` of (float32 pictures in [-1, 1), targets).
        task: what it has learned.
        total: pictures in the split, for the progress bar.

    Returns:
        The task's report, filled.
    """
    import tensorflow as tf
    import tqdm

    from keras_resnet.networks import prediction

    predict = prediction.predictor(task.whole(model), xla=bool(tf.config.list_logical_devices("GPU")))
    shown = task.report()
    with tqdm.tqdm(total=total, unit=" images", desc="evaluation", disable=not sys.stderr.isatty()) as bar:
        for images, truth in batches:
            shown.add(images.numpy(), predict(images), truth.numpy())
            bar.update(len(images))
    return shown


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
    from keras_resnet.data.dataset import reading
    from keras_resnet.data.loading import load_data
    from keras_resnet.networks import prediction
    from keras_resnet.reports.curves import curves

    run = runs.Run(pathlib.Path(run_dir))
    recipe = recipes.at(runs.load_recipe(run), dataset, data_dir)
    runs.check_model(run)
    task = tasks.of(runs.load_contract(run))
    data = data or load_data(recipe, run)
    if task.chooses and split == "test" and not has_report(run_dir, "validation"):
        report(run_dir, "validation", data)
        task = tasks.of(runs.load_contract(run))
    model, weights, history = _best(run)
    batches = data.evaluation(split, prediction.batch_size(recipe))
    with reading(data):
        shown = evaluate(model, batches, task, len(data.split(split)))
    if task.chooses and split == "validation":
        files.write_json(run.contract, task.chosen(shown).as_json())
    best = task.best(recipe.best)
    old = files.read_json(run.report, ANEW) if run.report.exists() else {}
    new = {
        **{name: part if _is_of(part, weights) else _asked(part) for name, part in old.items()},
        "training": _training(history, model, recipe, best),
        split: {
            **shown.summary(),
            "model_sha256": weights,
            "asked": old.get(split, {}).get("asked", 0) + 1,
            "date": datetime.date.today().isoformat(),
        },
    }
    title = f"{recipe.dataset} · {model.name}"
    _draw(run, split, curves(history, title, task, best), shown.draw(f"{title} · {split}"), int(history[-1]["step"]))
    files.write_text(run.report, _text(new) + "\n")
    print(table(new, split, task))
    warning = shown.warning()
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
    return files.read_json(run.report, ANEW).get(split, {}).get("model_sha256") == files.sha256(run.model)


def table(made, split, task):
    """The report as lines for people."""
    training, result = made["training"], made[split]
    lines = [
        ("network", f"{training['model']}, {training['parameters']:,} parameters"),
        ("training", f"{training['epochs']} epochs, {duration(training['seconds'])}"),
        (
            "kept",
            f"epoch {training['best_epoch']}" if training["best_epoch"] else "what it began with: no epoch was better",
        ),
        ("speed", f"{training['images_per_second']:,.0f} images/s (median step)"),
        ("peak memory", f"{training['peak_memory_mb']:,.0f} MB"),
        (f"{split} {task.contract.input.THINGS}", f"{result['images']:,}"),
    ]
    lines += task.lines(result)
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:{width}}  {value}" for name, value in lines)


def _training(history, model, recipe, best):
    return {
        "model": model.name,
        "parameters": int(sum(np.prod(w.shape) for w in model.trainable_weights)),
        "epochs": finished_epochs(history),
        "epochs_planned": recipe.epochs,
        "best": best,
        "best_epoch": int(best_row(history, best)["epoch"]),
        "seconds": history[-1]["seconds"],
        "images_per_second": statistics.median([row["images_per_second"] for row in history if row["epoch"]] or [0.0]),
        "peak_memory_mb": max(row["peak_memory_mb"] for row in history),
    }


def _best(run):
    """The best model, the SHA-256 of its file, and the history: a training that goes on may replace them meanwhile."""
    from keras_resnet.quantization.saved import load_model

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


def _draw(run, split, training, figures, step):
    """Saves the figures; TensorBoard gets the first of the split's."""
    from keras_resnet import drawing
    from keras_resnet.reports import tensorboard

    name = next(iter(figures))
    tensorboard.write_picture(run.tensorboard, name, drawing.pixels(figures[name]), step)
    drawing.save(training, run.figures / "curves.png")
    for name, figure in figures.items():
        drawing.save(figure, run.figures / f"{split}_{name}.png")


def duration(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def main(argv):
    if len(argv) != 2:
        raise ValueError(f"expected one folder, got {argv[1:]}; type python -m keras_resnet.evaluation runs/NAME")
    environment.load_tensorflow()
    report(argv[1], flags.FLAGS.split, dataset=flags.FLAGS.dataset, data_dir=flags.FLAGS.data_dir)


def run():
    """The program."""
    flags.disclaim_key_flags()  # they count as the script's own, so that its --help lists them
    programs.define_places()
    flags.DEFINE_enum("split", "validation", ["validation", "test"], "Pictures to report on; ask for test once.")
    programs.start("evaluation", main)
