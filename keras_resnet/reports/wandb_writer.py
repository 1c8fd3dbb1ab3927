"""Weights & Biases (https://wandb.ai): the history's rows, with the recipe as configuration. `pip install wandb`."""

import dataclasses
import importlib.util
import os
import re

from keras_resnet import files, runs


def check():
    """Raises ValueError where the library is missing. It does not load it."""
    if not importlib.util.find_spec("wandb"):
        raise ValueError("--wandb: the library is not installed; pip install 'keras_resnet[wandb]'")


class Writer:
    """Logs to one run of wandb for a run's folder, however often it is continued.

    Its number of a step is the training's, and wandb takes no number twice: what it has already is not logged again.
    Project, entity and mode are its own environment variables (WANDB_PROJECT, WANDB_ENTITY, WANDB_MODE=offline).

    Raises:
        RunError: it can't begin, for a missing key for instance.
    """

    def __init__(self, run, recipe):
        import wandb

        began = files.read_json(run.recipe)["starts"][0]["date"]
        try:
            self.run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", "keras_resnet"),
                name=run.path.resolve().name,
                id=re.sub(r"[^\w.-]", "", f"{run.path.resolve().name}-{began}"),
                resume="allow",
                dir=run.path,
                config=dataclasses.asdict(recipe),
            )
        except wandb.Error as error:
            raise runs.RunError(f"--wandb: {error}; try `wandb login`, or WANDB_MODE=offline in front") from error

    def epoch(self, row):
        self.steps(row["step"], row)

    def steps(self, step, values):
        if step >= self.run.step:
            self.run.log(dict(values), step=step)

    def close(self):
        self.run.finish()
