"""What a training would be, and how long it would take here, without a file written."""

import math
import resource
import time

import tensorflow as tf

from keras_resnet import runs
from keras_resnet.data.dataset import reading
from keras_resnet.networks.counting import multiplications
from keras_resnet.reports.evaluation import duration
from keras_resnet.training.trainer import Trainer

STEPS, FIRST = 24, 8  # the first ones trace, warm up, and find batches that were prepared meanwhile


def dry_run(recipe, run):
    """Prints what `trainer.train` would do with a recipe, from some steps on this machine.

    Raises:
        as `trainer.train` does, for what can't be.
    """
    if runs.is_finished(run) and runs.load_recipe(run).epochs >= recipe.epochs:
        print(f"{run.path}: this run is finished; nothing to train")
        return
    trainer = Trainer(recipe, run, math.inf)
    trainer.introduce()
    things = trainer.data.contract.input.THINGS
    learning = sum(math.prod(v.shape) for v in trainer.twin.trainable_variables)
    print(f"{learning:,} parameters learn; {multiplications(trainer.model) / 1e6:,.1f} million multiplications each")
    recipe, ended = trainer.recipe, []
    with reading(trainer.data):  # the last epoch's pictures have their full size
        for images, targets in trainer.batches(max(0, recipe.epochs - 1), 0).repeat().take(STEPS):
            trainer.twin.train_on_batch(images, targets)
            ended.append(time.monotonic())
    step = (ended[-1] - ended[FIRST - 1]) / (STEPS - FIRST)
    steps = recipe.epochs * trainer.steps - trainer.progress.step
    print(
        f"{recipe.epochs} epochs of {trainer.steps:,} steps of {recipe.batch_size} {things}"
        + f", {trainer.progress.step:,} of them done" * bool(trainer.progress.step)
        + f": about {duration(steps * step)} here, at {recipe.batch_size / step:,.0f} images/s (mean of "
        f"{STEPS - FIRST} steps with their {things}; validation comes on top)"
    )
    memory = f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB"
    for device in tf.config.list_logical_devices("GPU"):
        memory += f", {device.name} {tf.config.experimental.get_memory_info(device.name)['peak'] / 2**20:,.0f} MB"
    print(f"most memory so far: {memory}; nothing was written")
