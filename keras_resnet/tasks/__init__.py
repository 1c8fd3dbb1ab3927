"""What is learned. A task is one file: all that an output of the contract means in training, reports and the proof.

The training loop, the history, TensorBoard, the report and the export know names and numbers; a task says which.
"""

from keras_resnet.tasks.classification import Classification
from keras_resnet.tasks.detection import Detection
from keras_resnet.tasks.multilabel import MultiLabel
from keras_resnet.tasks.segmentation import Segmentation

TASKS = {"classes": Classification, "labels": MultiLabel, "boxes": Detection, "mask": Segmentation}


def of(contract):
    """The task that a contract's output asks for."""
    return TASKS[contract.output.KIND](contract)


def check_best(best):
    """Refuses a figure that no task has; whether this one has it is known with its data (`Classification.best`)."""
    known = dict.fromkeys(["auto", *(name for task in TASKS.values() for name in task.BEST)])
    if best not in known:
        raise ValueError(f"--best={best}: choose {', '.join(known)}")
