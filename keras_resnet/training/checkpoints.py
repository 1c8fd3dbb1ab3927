"""One file holds all that a restart needs: weights, optimizer, step, history. It is written whole or not at all.

The one before is kept beside it, for the day when a disk has spoiled the newest.
"""

import dataclasses
import json
import os
import pathlib

import numpy as np

from keras_resnet import files
from keras_resnet.device.archives import load_arrays
from keras_resnet.networks.weights import value


@dataclasses.dataclass
class Progress:
    """How far a training has come.

    Attributes:
        step: optimizer steps done.
        history: a dict for each finished epoch; of a training that continues another, for its start too (epoch 0).
        partial: of an epoch that has begun: `steps` done, the mean loss and metrics over them, and once its steps are
            done the median `step_seconds`.
        seconds: spent in training and validation, over all restarts.
    """

    step: int = 0
    history: list = dataclasses.field(default_factory=list)
    partial: dict = dataclasses.field(default_factory=dict)
    seconds: float = 0.0


class CheckpointError(ValueError):
    """A checkpoint that is broken or belongs to another model."""


def previous(path):
    """Path of the checkpoint before the newest, which is at `path`."""
    return path.with_name("previous.npz")


def save(path, model, optimizer, progress, average=None):
    """Writes model, optimizer, average and progress to one `.npz`, atomically; what was there is kept as `previous`."""
    arrays = {name: value(variable) for name, variable in variables(model, optimizer, average)}
    with files.atomic(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, progress=np.array(json.dumps(dataclasses.asdict(progress))), **arrays)
        if path.exists():
            _keep(path)


def _keep(path):
    """Makes the newest checkpoint the previous one, too: at any moment there is a whole one."""
    try:
        with files.atomic(previous(path)) as spare:
            os.remove(spare)
            os.link(path, spare)
    except OSError:  # a file system without links
        os.replace(path, previous(path))


def restore(path, model, optimizer, average=None):
    """Reads what `save` wrote into model, optimizer and average.

    Where the newest file is broken, the one before takes its place: the same steps are then done again.

    Returns:
        `Progress`; a fresh one where there is no file.

    Raises:
        CheckpointError: both files are broken, or they are of another model.
    """
    path = pathlib.Path(path)
    broken, of_another = [], None
    for candidate in (path, previous(path)):
        if not candidate.exists():
            continue
        try:
            progress, arrays = _read(candidate)
        except Exception as error:  # of many kinds: a zip's, NumPy's, JSON's
            broken.append(f"{candidate.name}: {str(error) or type(error).__name__}")
            continue
        ours = dict(variables(model, optimizer, average))
        if ours.keys() != arrays.keys() and len(ours) == len(arrays):
            # Names that Keras gave: layers of a network that is built again in the same process have others.
            arrays = dict(zip(ours, arrays.values(), strict=True))
        if {n: tuple(v.shape) for n, v in ours.items()} != {n: a.shape for n, a in arrays.items()}:
            of_another = candidate  # or a flipped bit has hidden an array from the zip's list
            broken.append(f"{candidate.name}: other arrays than the model's")
            continue
        for name, variable in ours.items():
            variable.assign(arrays[name])
        if candidate != path:
            print(f"no readable checkpoint ({'; '.join(broken) or path.name}); the one before it is taken", flush=True)
            os.replace(candidate, path)
        return progress
    if of_another:
        raise CheckpointError(f"{of_another}: a checkpoint of another model; give another --run_dir")
    if broken:
        raise CheckpointError(
            f"{path.parent}: no readable checkpoint ({'; '.join(broken)}); restore one from a copy, or remove this "
            "folder: the same command then begins anew"
        )
    return Progress()


def _read(path):
    arrays = load_arrays(path)
    said = json.loads(str(arrays.pop("progress")))
    said.pop("best", None)  # of an older version: the history tells it
    progress, kinds = Progress(**said), {"step": int, "history": list, "partial": dict, "seconds": int | float}
    odd = [name for name, kind in kinds.items() if not isinstance(getattr(progress, name), kind)]
    odd += [name for name, array in arrays.items() if array.dtype.kind not in "biuf"]
    if odd:
        raise ValueError(f"{odd[0]} is of another type")
    return progress, arrays


def variables(model, optimizer, average=None):
    """Pairs of a name and a variable: all that a checkpoint holds."""
    for variable in model.variables:
        yield f"model/{variable.path}", variable
    for variable in optimizer.variables:
        yield f"optimizer/{variable.path}", variable
    for name, variable in average.variables if average else ():
        yield f"average/{name}", variable
