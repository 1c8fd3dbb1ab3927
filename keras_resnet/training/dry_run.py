"""What a training would be, and how long it would take here, without a file written."""

import math
import resource
import statistics
import time

from keras_resnet.data.dataset import reading
from keras_resnet.networks.counting import multiplications
from keras_resnet.reports.evaluation import duration
from keras_resnet.training.trainer import Trainer

STEPS = 12  # of which the first two trace and warm up


def dry_run(recipe, run):
    """Prints what `trainer.train` would do with a recipe, from some steps on this machine.

    Raises:
        as `trainer.train` does, for what can't be.
    """
    trainer = Trainer(recipe, run, math.inf)
    trainer.introduce()
    learning = sum(math.prod(v.shape) for v in trainer.twin.trainable_variables)
    print(
        f"{learning:,} parameters learn; {multiplications(trainer.model) / 1e6:,.1f} million multiplications a picture"
    )
    seconds = []
    with reading(trainer.data):
        for images, targets in trainer.batches(0, 0).repeat().take(STEPS):
            began = time.monotonic()
            trainer.twin.train_on_batch(images, targets)
            seconds.append(time.monotonic() - began)
    step, recipe = statistics.median(seconds[2:]), trainer.recipe
    print(
        f"{recipe.epochs} epochs of {trainer.steps:,} steps of {recipe.batch_size} pictures: about "
        f"{duration(recipe.epochs * trainer.steps * step)} here, at {recipe.batch_size / step:,.0f} images/s (median "
        f"of {STEPS - 2} steps; validation comes on top)"
    )
    print(f"memory so far: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB; nothing was written")
