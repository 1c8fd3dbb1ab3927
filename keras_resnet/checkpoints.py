"""One file holds all that a restart needs: weights, optimizer, step, history. It is written whole or not at all."""

import dataclasses
import json
import pathlib

import numpy as np

from keras_resnet import files
from keras_resnet.normalization import value


@dataclasses.dataclass
class Progress:
    """How far a training has come.

    Attributes:
        step: optimizer steps done.
        history: a dict for each finished epoch; of a training that continues another, for its start too (epoch 0).
        partial: of an epoch that has begun: `steps` done, mean `loss` and `accuracy` over them, and once its steps are
            done the median `step_seconds`.
        seconds: spent in training and validation, over all restarts.
    """

    step: int = 0
    history: list = dataclasses.field(default_factory=list)
    partial: dict = dataclasses.field(default_factory=dict)
    seconds: float = 0.0


class CheckpointError(ValueError):
    """A checkpoint that is broken or belongs to another model."""


def save(path, model, optimizer, progress):
    """Writes model, optimizer and progress to one `.npz`, atomically."""
    arrays = {name: value(variable) for name, variable in _variables(model, optimizer)}
    with files.atomic(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, progress=np.array(json.dumps(dataclasses.asdict(progress))), **arrays)


def broken_weight(model):
    """The path of the first weight of a model that is not finite, or None."""
    return next((v.path for v in model.weights if not np.isfinite(value(v)).all()), None)


def restore(path, model, optimizer):
    """Reads what `save` wrote into model and optimizer.

    Returns:
        `Progress`; a fresh one where the file does not exist.

    Raises:
        CheckpointError: the file is broken or of another model.
    """
    path = pathlib.Path(path)
    if not path.exists():
        return Progress()
    try:
        with np.load(path) as saved:
            arrays = dict(saved)
        progress = json.loads(str(arrays.pop("progress")))
    except Exception as error:
        raise CheckpointError(
            f"{path}: no readable checkpoint ({error}); remove the run's folder to begin anew"
        ) from error
    variables = dict(_variables(model, optimizer))
    if {n: tuple(v.shape) for n, v in variables.items()} != {n: a.shape for n, a in arrays.items()}:
        raise CheckpointError(f"{path}: a checkpoint of another model; give another --run_dir")
    for name, variable in variables.items():
        variable.assign(arrays[name])
    progress.pop("best", None)  # of an older version: the history tells it
    return Progress(**progress)


def _variables(model, optimizer):
    for variable in model.variables:
        yield f"model/{variable.path}", variable
    for variable in optimizer.variables:
        yield f"optimizer/{variable.path}", variable
