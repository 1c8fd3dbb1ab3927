"""Whether two runs of one recipe ended alike: bits of weights and optimizer, history, TensorBoard, report.

Not compared are dates, times, speed and memory. An epoch's running means, which are figures of the training pictures,
may differ in their last digits: Keras adds them up anew behind a restart.
"""

import hashlib
import math

import numpy as np

from keras_resnet import files, runs
from keras_resnet.history import read_history

MEASURED = ("seconds", "images_per_second", "peak_memory_mb", "date", "asked", "model_sha256")
RUNNING = ("loss", "accuracy")


def contents(run_dir):
    """What a finished run holds: name -> value; values of two runs that ended alike are equal by `differences`."""
    run = runs.Run(run_dir)
    with np.load(run.checkpoint) as saved:
        held = {f"latest.npz: {name}": digest(array) for name, array in saved.items() if name != "progress"}
    held |= {f"model.keras: {name}": digest(array) for name, array in weights(run.model)}
    for row in read_history(run.history):
        held |= {f"history.csv: {name}, epoch {row['epoch']:.0f}": value for name, value in row.items()}
    held |= dict(curves(run.tensorboard))
    report = files.read_json(run.report)
    for part, values in report.items():
        held |= {f"report.json: {part} {name}": value for name, value in values.items()}
        if "model_sha256" in values:
            held[f"report.json: {part} is of model.keras"] = values["model_sha256"] == files.sha256(run.model)
    held["figures"] = sorted(path.name for path in run.figures.iterdir())
    return {name: value for name, value in held.items() if not name.partition(", ")[0].endswith(MEASURED)}


def digest(array):
    return hashlib.sha256(array.tobytes()).hexdigest()


def weights(path):
    """Pairs of a name and an array, of a `.keras` file."""
    import keras

    model = keras.models.load_model(path)
    return ((f"{i} {variable.path}", np.asarray(variable)) for i, variable in enumerate(model.variables))


def curves(folder):
    """Pairs of a name and what TensorBoard shows of it: of scalars step and value, of others the steps."""
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for split in ("train", "validation"):
        shown = EventAccumulator(str(folder / split), size_guidance={"tensors": 0}).Reload()
        for tag in shown.Tags()["tensors"]:
            found = sorted(shown.Tensors(tag), key=lambda event: event.step)
            values = [tf.make_ndarray(event.tensor_proto) for event in found]
            if any(value.ndim for value in values):  # pictures: a report that is made anew adds its own
                yield f"TensorBoard: {split} {tag}", sorted({event.step for event in found})
            elif tag not in MEASURED:
                yield f"TensorBoard: {split} {tag}, steps", [event.step for event in found]
                yield f"TensorBoard: {split} {tag}", [float(value) for value in values]


def differences(one, other):
    """Names of what two runs' `contents` do not have in common."""
    return [name for name in {**one, **other} if not alike(name, one.get(name), other.get(name))]


def alike(name, one, other):
    if one == other or None in (one, other):
        return one is not None and one == other
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other):
        return True
    running = name.partition(": ")[2].partition(", ")[0].removeprefix("train ") in RUNNING
    return running and np.shape(one) == np.shape(other) and bool(np.allclose(one, other, rtol=1e-5, atol=0))
