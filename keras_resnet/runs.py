"""A run is a folder. This file knows its paths, and whether a command may begin, continue or leave it alone."""

import contextlib
import dataclasses
import datetime
import errno
import fcntl
import importlib.metadata
import pathlib
import platform
import subprocess

import keras_resnet
from keras_resnet import files, origins
from keras_resnet.device.contract import Contract
from keras_resnet.history import finished_epochs, is_over, read_history
from keras_resnet.recipes import Recipe, is_folder


class RunError(ValueError):
    """A folder that this command can't use; the message says what to type."""


@dataclasses.dataclass(frozen=True)
class Run:
    """Paths of a run's folder."""

    path: pathlib.Path

    @property
    def recipe(self):
        return self.path / "recipe.json"

    @property
    def contract(self):
        return self.path / "contract.json"

    @property
    def checkpoint(self):
        return self.path / "checkpoints" / "latest.npz"

    @property
    def previous_checkpoint(self):
        return self.path / "checkpoints" / "previous.npz"

    @property
    def model(self):
        return self.path / "model.keras"

    @property
    def history(self):
        return self.path / "history.csv"

    @property
    def unreadable(self):
        return self.path / "unreadable.txt"

    @property
    def before_recipe(self):
        """What `begin` writes first: a kill, or a full disk, may leave it alone."""
        return self.unreadable, self.contract

    @property
    def tensorboard(self):
        return self.path / "tensorboard"

    @property
    def report(self):
        return self.path / "report.json"

    @property
    def figures(self):
        return self.path / "figures"


def extended(run, recipe):
    """A recipe as it continues a run: with the epochs at which it was extended, or is, being finished, by this.

    Nothing else of it may differ then, as `check` sees to.
    """
    if not run.recipe.exists():
        return recipe
    saved = load_recipe(run)
    ends, rows = saved.extends, read_history(run.history) if run.history.exists() else []
    if rows and saved.epochs < recipe.epochs and is_over(rows, saved, chosen(run).get("best", saved.best)):
        ends = ",".join(map(str, [*saved.ends[:-1], finished_epochs(rows)]))  # patience may have ended it earlier
    return dataclasses.replace(recipe, extends=recipe.extends or ends)


def check(run, recipe):
    """Checks that a run's folder is new, or this recipe's.

    Raises:
        RunError: the folder holds another recipe's run, or something else.
    """
    if run.path.exists() and not run.path.is_dir():
        raise RunError(f"--run_dir={run.path}: this is a file; give a folder, an empty or a new one")
    if run.recipe.exists():
        given, recipe, saved = recipe, extended(run, recipe), load_recipe(run)
        theirs = _as_given(run, recipe)
        if not given.extends and recipe.extends != saved.extends:  # it is extended
            theirs |= {"epochs": recipe.epochs, "extends": recipe.extends}
        differences = recipe.differences(theirs)
        if differences:
            raise RunError(
                f"--run_dir={run.path}: another run is there: {', '.join(differences)}; "
                "give its flags to continue it, or another --run_dir"
            )
        if recipe.epochs > saved.epochs and not (run.checkpoint.exists() or run.previous_checkpoint.exists()):
            raise RunError(
                f"--run_dir={run.path}: --epochs={recipe.epochs} (it has {saved.epochs}), but its checkpoints/, from "
                f"which to go on, are gone; to train its model further: --init={run.path} and another --run_dir"
            )
    elif run.path.exists() and any(p.name[0] != "." and p not in run.before_recipe for p in run.path.iterdir()):
        raise RunError(f"--run_dir={run.path}: this folder holds something else; give an empty or a new one")


def _as_given(run, recipe):
    """The fields of a run's recipe, those as `recipe` has them that say the same otherwise.

    That is what `auto` became here, and paths of data and networks that moved. Data is held to its fingerprint once it
    is loaded (`check_data`), networks to the digest of their file.
    """
    saved, made = dataclasses.asdict(load_recipe(run)), files.read_json(run.recipe)
    given = dataclasses.asdict(recipe)
    chosen = {"best": "accuracy", **made.get("chosen", {})}  # before `best` could be auto, there was one task
    same = [name for name, value in chosen.items() if saved[name] == value and given[name] in ("auto", 0)]
    same += [name for name, value in chosen.items() if saved[name] == "auto" and given[name] == value]
    if "data" in made:
        same.append("data_dir")
        if is_folder(saved["dataset"]) and is_folder(recipe.dataset):
            same.append("dataset")
    networks = _networks(recipe)
    same += [name for name, digests in made.get("networks", {}).items() if digests and networks[name] == digests]
    return {**saved, **{name: given[name] for name in same}}


def _networks(recipe):
    """SHA-256 of the models that a recipe starts from and learns from."""
    paths = {
        "init": [origins.place(recipe.init)] if recipe.init else [],
        "teacher": map(origins.place, recipe.teachers),
    }
    return {name: [files.sha256(path) for path in of if path] for name, of in paths.items()}


def begin(run, recipe, data, hardware, chosen):
    """Notes a start, and of a new run, once its data is there, what it is made of: with `recipe.json` it has begun."""
    start = {"date": datetime.datetime.now().astimezone().isoformat("T", "seconds"), "hardware": hardware.description}
    start |= origin()
    made = {
        "recipe": dataclasses.asdict(recipe),
        "chosen": chosen,
        "pictures": _sizes(data),
        "data": data.fingerprint,
        "networks": _networks(recipe),
        **start,
    }
    if run.recipe.exists():
        old = files.read_json(run.recipe)
        moved = ("dataset", "data_dir", "init", "teacher", "epochs", "extends")
        places = {name: made["recipe"][name] for name in moved}
        made |= {**old, "recipe": {**old["recipe"], **places}}
    else:
        if data.unreadable:
            files.write_text(run.unreadable, "".join(f"{path}: {reason}\n" for path, reason in data.unreadable))
        files.write_json(run.contract, data.contract.as_json())
    files.write_json(run.recipe, {**made, "starts": [*made.get("starts", []), start]})


def chosen(run):
    """What `auto` became when a run began: field -> value; empty for a new run, or one that did not note it."""
    return files.read_json(run.recipe).get("chosen", {}) if run.recipe.exists() else {}


def check_data(run, data):
    """Holds a data set to the contract and the pictures that a run began with, wherever they lie now.

    Raises:
        RunError: something differs; continuing would mix two data sets, or name the classes wrongly.
    """
    if not run.recipe.exists():
        return
    made, contract = files.read_json(run.recipe), load_contract(run)
    kinds = contract.output.KIND, data.contract.output.KIND
    if kinds[0] != kinds[1]:
        raise RunError(f"{run.path}: it learned {kinds[0]}, {data.name} has {kinds[1]}; give the data of the same kind")
    now, then = (_said(of) for of in (data.contract, contract))
    different = [name for name in now | then if now.get(name) != then.get(name)]
    differences = [_difference(name, now.get(name), then.get(name)) for name in different]
    things, began = contract.input.THINGS, made.get("pictures", _sizes(data))
    prints = made.get("data", {}).items()
    if made["recipe"]["dataset"] == "given" != data.name:  # no folder has an array's fingerprint, or its splits
        began, prints = _sizes(data), ()
    if began != _sizes(data):
        differences.append(f"it began with {began} {things}, now there are {_sizes(data)}")
    elif other := [split for split, text in prints if data.fingerprint.get(split, text) != text]:
        differences.append(f"other files, sizes or labels among the {' and '.join(other)} {things}")
    if differences:
        raise RunError(
            f"{run.path}: its data set has changed: {'; '.join(differences)}; restore the data, say where it lies now "
            "(--dataset, --data_dir), or give another --run_dir"
        )


def _difference(name, now, then):
    """What differs, in words; of long lists the first of what only one of both has."""
    if name not in ("columns", "vocabulary"):
        return f"{name}={now} (it has {then})"
    odd = sorted({getattr(one, "name", one) for one in {*(now or ())} ^ {*(then or ())}})
    return f"{name} differ: {', '.join(odd[:5])}" + " …" * (len(odd) > 5)


def _said(contract):
    parts = contract.input, contract.output
    return {f.name: getattr(part, f.name) for part in parts for f in dataclasses.fields(part) if f.compare}


def _sizes(data):
    return {split: len(data.split(split)) for split in ("train", "validation", "test")}


def load_contract(run):
    """Reads a run's `Contract`.

    Raises:
        ValueError: `contract.json` is missing or broken.
    """
    with files.understood(run.contract):
        return Contract.load(run.contract)


def load_recipe(run):
    """Reads the recipe of an existing run.

    Raises:
        RunError: no run is there, or one with settings that this version does not know.
        ValueError: `recipe.json` is broken.
    """
    if not run.recipe.exists():
        raise RunError(f"{run.path}: no run is there (it has no recipe.json); train one with --run_dir={run.path}")
    made = files.read_json(run.recipe)
    with files.understood(run.recipe):
        types = {field.name: field.type for field in dataclasses.fields(Recipe)}
        unknown = sorted(set(made["recipe"]) - set(types))
        for name, value in made["recipe"].items():
            if name in types and not isinstance(value, types[name] | int if types[name] is float else types[name]):
                raise TypeError(f"{name} is {value!r}")
    if unknown:
        version = made.get("versions", {}).get("keras-resnet", "another version")
        raise RunError(
            f"{run.recipe}: it was written by keras-resnet {version}, this is {keras_resnet.__version__}, which knows "
            f"no {', '.join(unknown)}; install that version, or give another --run_dir"
        )
    return Recipe(**made["recipe"])


def is_finished(run):
    """Whether a run has its model, and its history holds all the epochs of its recipe."""
    if not (run.recipe.exists() and run.model.exists() and run.history.exists()):
        return False
    recipe, rows = load_recipe(run), read_history(run.history)
    return is_over(rows, recipe, chosen(run).get("best", recipe.best))


def check_model(run):
    """Checks that a run has its best model, and a history that tells of it.

    Raises:
        RunError: no epoch is done yet, or the model has been removed since.
    """
    rows = read_history(run.history) if run.history.exists() else []
    if rows and not run.model.exists():
        raise model_removed(run)
    if not rows:
        lacking = "epoch in history.csv" if run.model.exists() else "model.keras"
        raise RunError(
            f"{run.path}: this run is not finished (it has no {lacking}); the same train.py command continues it"
        )


def model_removed(run):
    """The error that an epoch has made the best model, and somebody took it away."""
    return RunError(f"{run.model}: this file was made and has been removed since; {files.RESTORE}")


def check_is_there(run):
    """Checks that nobody took a run's folder away while it trains: a write would make half of it anew.

    Raises:
        RunError: somebody did.
    """
    if not run.recipe.exists():
        raise RunError(
            f"{run.path}: this folder was removed or moved while it was trained in (its recipe.json is gone); the same "
            "command begins anew, or continues with --run_dir=FOLDER, where it lies now"
        )


@contextlib.contextmanager
def locked(run):
    """Keeps two processes from training in one folder. What is still empty at the end is taken away.

    Raises:
        RunError: another process does.
    """
    missing = [path for path in run.path.parents if not path.exists()]
    run.path.mkdir(parents=True, exist_ok=True)
    with open(run.path / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise RunError(
                    f"--run_dir={run.path}: another process trains there; wait for it or give another"
                ) from None
            print(
                f"{run.path}: no locks here ({error.strerror}): see to it yourself that no other process trains there"
            )
        written = run.recipe, run.contract, run.model, run.history, run.unreadable, run.report
        files.sweep(run.path, [path.name for path in written])
        files.sweep(run.figures, ["*.png"])
        files.sweep(run.checkpoint.parent, [run.checkpoint.name, run.previous_checkpoint.name])
        try:
            yield
        finally:
            if run.path.exists() and [p.name for p in run.path.iterdir()] == [".lock"]:
                (run.path / ".lock").unlink()
                with contextlib.suppress(OSError):  # somebody else writes there
                    for path in (run.path, *missing):
                        path.rmdir()


def origin():
    """Versions and git commit: where a run came from."""
    packages = ("keras-resnet", "tensorflow", "keras", "numpy", "pillow", "tensorflow-datasets")
    versions = {"python": platform.python_version()}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {"versions": versions, "git_commit": _git_commit()}


def _git_commit():
    here = pathlib.Path(__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
