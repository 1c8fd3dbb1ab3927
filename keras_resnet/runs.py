"""A run is a folder. This file knows its paths, and whether a command may begin, continue or leave it alone."""

import contextlib
import dataclasses
import fcntl
import importlib.metadata
import pathlib
import platform
import subprocess

import keras_resnet
from keras_resnet import files
from keras_resnet.history import finished_epochs, read_history
from keras_resnet.preprocessing import ImageContract
from keras_resnet.recipes import Recipe


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
    def tensorboard(self):
        return self.path / "tensorboard"

    @property
    def report(self):
        return self.path / "report.json"

    @property
    def figures(self):
        return self.path / "figures"


def check(run, recipe):
    """Checks that a run's folder is new, or this recipe's.

    Raises:
        RunError: the folder holds another recipe's run, or something else.
    """
    if run.path.exists() and not run.path.is_dir():
        raise RunError(f"--run_dir={run.path}: this is a file; give a folder, an empty or a new one")
    if run.recipe.exists():
        differences = recipe.differences(dataclasses.asdict(load_recipe(run)))
        if differences:
            raise RunError(
                f"--run_dir={run.path}: another run is there: {', '.join(differences)}; "
                "give its flags to continue it, or another --run_dir"
            )
    elif run.path.exists() and any(p.name[0] != "." and p != run.contract for p in run.path.iterdir()):
        raise RunError(f"--run_dir={run.path}: this folder holds something else; give an empty or a new one")


def begin(run, recipe, data, hardware):
    """Writes what a new run is made of, once its data is there: the recipe last, since with it a run has begun."""
    if not run.recipe.exists():
        made = {"recipe": dataclasses.asdict(recipe), "pictures": _sizes(data), "hardware": hardware, **origin()}
        if data.unreadable:
            files.write_text(run.unreadable, "".join(f"{path}: {reason}\n" for path, reason in data.unreadable))
        data.contract.save(run.contract)
        files.write_json(run.recipe, made)


def check_data(run, data):
    """Holds a data set to the contract and the numbers of pictures that a run began with.

    Raises:
        RunError: something differs; continuing would mix two data sets, or name the classes wrongly.
    """
    if not run.recipe.exists():
        return
    began = files.read_json(run.recipe).get("pictures", _sizes(data))
    if ImageContract.load(run.contract) != data.contract or began != _sizes(data):
        raise RunError(
            f"{run.path}: its data set has changed: it began with {began} pictures, now there are {_sizes(data)}, "
            "or labels or sizes differ (contract.json); restore the data, or give another --run_dir"
        )


def _sizes(data):
    return {split: len(data.split(split)) for split in ("train", "validation", "test")}


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
    return finished_epochs(read_history(run.history)) == load_recipe(run).epochs


@contextlib.contextmanager
def locked(run):
    """Keeps two processes from training in one folder. A folder that is still empty at the end is taken away.

    Raises:
        RunError: another process does.
    """
    run.path.mkdir(parents=True, exist_ok=True)
    with open(run.path / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunError(f"--run_dir={run.path}: another process trains there; wait for it or give another") from None
        files.sweep(run.path, [p.name for p in (run.recipe, run.contract, run.model, run.history, run.unreadable)])
        files.sweep(run.checkpoint.parent, [run.checkpoint.name, run.previous_checkpoint.name])
        try:
            yield
        finally:
            if [p.name for p in run.path.iterdir()] == [".lock"]:
                (run.path / ".lock").unlink()
                run.path.rmdir()


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
