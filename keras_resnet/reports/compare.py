"""`keras-resnet compare RUN…`: several runs in one table and one picture. It needs no TensorFlow."""

import argparse
import dataclasses
import pathlib
import statistics

from keras_resnet import files, programs, runs
from keras_resnet.device import command_line
from keras_resnet.history import best_row, finished_epochs, read_history
from keras_resnet.recipes import PLACES, Recipe


@dataclasses.dataclass(frozen=True)
class Read:
    """What is known of a run.

    Attributes:
        name: its folder, without what all have in common.
        recipe: dict of its fields.
        history: rows.
        best: the figure that chooses its model.
        report: dict; without what is of another model than today's.
    """

    name: str
    recipe: dict
    history: list
    best: str
    report: dict

    @property
    def chosen(self):
        return best_row(self.history, self.best)


def read(path, name):
    """Reads a run that has an epoch at least, finished or not.

    Raises:
        ValueError: there is none.
    """
    run = runs.Run(path)
    recipe = runs.load_recipe(run)
    rows = read_history(run.history) if run.history.exists() else []
    if not rows:
        raise runs.RunError(f"{path}: no epoch of this run is done yet")
    best = runs.chosen(run).get("best", "accuracy" if recipe.best == "auto" else recipe.best)
    report = files.read_json(run.report) if run.report.exists() else {}
    weights = files.sha256(run.model) if run.model.exists() else None
    report = {split: part for split, part in report.items() if part.get("model_sha256", weights) == weights}
    return Read(name, dataclasses.asdict(recipe), rows, best, report)


def find(paths):
    """Folders of runs: those that are given, and those inside of given folders that are none. Sorted, each once.

    Returns:
        (list of paths, a sentence for each given folder that has none).
    """
    found, left = {}, []
    for path in map(pathlib.Path, paths):
        inside = [path] if (path / "recipe.json").exists() else [p.parent for p in sorted(path.rglob("recipe.json"))]
        if not inside:
            left.append(f"{path}: no run is there (no recipe.json, here or below)")
        found |= dict.fromkeys(inside)
    return list(found), left


def read_all(paths):
    """`Read` of each folder that can be, and a sentence for each that can't.

    Raises:
        RunError: there is none that can be; why the first can't.
    """
    paths, left = find(paths)
    common, found = pathlib.Path(*_common(paths)) if len(paths) > 1 else pathlib.Path(), []
    for path in paths:
        try:
            found.append(read(path, str(path.relative_to(common)) if len(paths) > 1 else path.name))
        except (ValueError, OSError) as error:
            left.append(str(error))
    if not found:
        raise runs.RunError(left[0])
    return found, left


def differences(read_runs):
    """For each run the fields that are not the same in all of them, as `--name=value`."""
    defaults = dataclasses.asdict(Recipe())
    names = [n for n in defaults if n not in PLACES and len({str(r.recipe[n]) for r in read_runs}) > 1]
    return [" ".join(f"--{n}={r.recipe[n]}" for n in names if r.recipe[n] != defaults[n]) or "—" for r in read_runs]


def table(read_runs):
    """Lines for people, of the figure that chose the first run's model."""
    first = read_runs[0].best
    head = ("run", f"validation {first.replace('_', ' ')}", "epoch", "test", "hours", "images/s", "differs in")
    rows = [head]
    for of, differs in zip(read_runs, differences(read_runs), strict=True):
        name = {"accuracy": "top1_accuracy"}.get(first, first)
        # A report is of the model as it is saved; a row of the history may be in bfloat16.
        score = of.report.get("validation", {}).get(name, of.chosen.get(f"val_{first}"))
        test = of.report.get("test", {}).get(name)
        speed = statistics.median([row["images_per_second"] for row in of.history if row["epoch"]] or [0.0])
        rows.append(
            (
                of.name,
                _figure(score, first),
                f"{of.chosen['epoch']:.0f} of {finished_epochs(of.history)}{_planned(of)}",
                _figure(test, first),
                f"{of.history[-1]['seconds'] / 3600:.2f}",
                f"{speed:,.0f}",
                differs,
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    return ["  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _planned(of):
    """What says that a run has not come to the end of its epochs."""
    planned = of.recipe["epochs"]
    return f", {planned} planned" if finished_epochs(of.history) < planned else ""


def _figure(value, name):
    if value is None:
        return ""
    return f"{value:.4f}" if name == "loss" else f"{100 * value:.2f} %"


def draw(read_runs, path):
    """Saves a picture: the first run's figure and the loss on validation, against epochs and against hours."""
    from keras_resnet import drawing

    name = read_runs[0].best
    figure, grid = drawing.pyplot.subplots(2, 2, figsize=(12, 7.5), sharey="row", layout="constrained")
    styles = ("-", "--", ":", "-.")
    for i, of in enumerate(read_runs):
        look = {"color": drawing.PALETTE[i % len(drawing.PALETTE)], "linestyle": styles[i // len(drawing.PALETTE) % 4]}
        look |= {"label": drawing.short(of.name), "marker": "." if len(of.history) < 10 else ""}
        for column, along in enumerate(("epoch", "seconds")):
            x = [row[along] / (3600 if along == "seconds" else 1) for row in of.history]
            for line, (figure_name, scale) in enumerate(((name, 1 if name == "loss" else 100), ("loss", 1))):
                y = [scale * row.get(f"val_{figure_name}", float("nan")) for row in of.history]
                grid[line, column].plot(x, y, **look)
    for axes in grid.flat:
        axes.grid(alpha=0.3)
    grid[0, 0].set(ylabel="validation loss" if name == "loss" else f"validation {name.replace('_', ' ')} [%]")
    grid[1, 0].set(ylabel="validation loss [nats]", xlabel="epoch")
    grid[1, 1].set(xlabel="hours of training")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
    figure.suptitle(f"{len(read_runs)} run{'s' * (len(read_runs) > 1)} on validation")
    drawing.save(figure, path)


def main(arguments, program):
    parser = argparse.ArgumentParser(program, description="Several runs in one table and one picture.")
    parser.add_argument("runs", nargs="+", help="folders of runs, or folders that hold some")
    parser.add_argument("--picture", type=pathlib.Path, default=pathlib.Path("runs/compare.png"), metavar="FILE.png")
    given = parser.parse_args(arguments)
    try:
        if given.picture.suffix != ".png" or given.picture.is_dir():
            raise ValueError(f"--picture={given.picture}: expected a file that ends in .png")
        read_runs, left = read_all(given.runs)
        given.picture.parent.mkdir(parents=True, exist_ok=True)
        draw(read_runs, given.picture)
    except (ValueError, OSError) as error:
        command_line.fail(parser, programs.sentence(error))
    print("\n".join(table(read_runs)))
    if len({(of.recipe["dataset"], of.best) for of in read_runs}) > 1:
        print("these runs are of different data or tasks: their figures are not of the same pictures")
    for sentence in left:
        print(f"left out: {sentence}")
    print(f"picture: {given.picture}")


def _common(paths):
    """The parts of all paths' parents that are the same."""
    parts = list(zip(*(path.parent.parts for path in paths), strict=False))
    same = next((i for i, of in enumerate(parts) if len(set(of)) > 1), len(parts))
    return [of[0] for of in parts[:same]]
