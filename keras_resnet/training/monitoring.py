"""What may be watched of a training beside its history. None of it changes what is learned."""

import collections
import dataclasses
import re

import keras
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from keras_resnet.reports import tensorboard, wandb_writer


@dataclasses.dataclass(frozen=True)
class Monitor:
    """What is asked for.

    Attributes:
        log_steps: steps between two rows of loss, learning rate and norms in TensorBoard; 0 for none.
        wandb: whether Weights & Biases gets what TensorBoard gets.
        profile: whether some steps of the first epoch are profiled.
    """

    log_steps: int = 0
    wandb: bool = False
    profile: bool = False


NOTHING = Monitor()


class Writers:
    """TensorBoard and, where it is asked for, Weights & Biases: each gets the same."""

    def __init__(self, run, recipe, wandb):
        self.tensorboard = tensorboard.Writer(run.tensorboard)
        self.all = [self.tensorboard, *([wandb_writer.Writer(run, recipe)] if wandb else [])]

    def epoch(self, row):
        for writer in self.all:
            writer.epoch(row)

    def steps(self, step, values):
        for writer in self.all:
            writer.steps(step, values)

    def close(self):
        for writer in self.all:
            writer.close()


class StepLog(keras.callbacks.Callback):
    """Writes, each so many steps: the mean loss since the last time, the learning rate, gradient's and weights' norm.

    The gradient's is of that step alone, after the replicas' are added and before it is clipped. Numbers are written
    one time later than they are taken, so that nobody waits for the device.

    Args:
        every: steps.
        progress: `Progress`, whose step counts what was done before.
        learning_rate: function of a step, of that step's.
        gradient_norm: variable of the optimizer.
        write: function of (step, dict of numbers).
    """

    def __init__(self, every, progress, learning_rate, gradient_norm, write):
        super().__init__()
        self.every, self.progress, self.learning_rate = every, progress, learning_rate
        self.gradient_norm, self.write = gradient_norm, write
        self.rest = (0, 0.0)  # steps of the epoch before that are in no row yet, and the sum of their losses
        self.taken = None

    def on_train_begin(self, logs=None):
        self.first, self.before = self.progress.step, (0, 0.0)  # steps here, and the sum of Keras' losses over them

    def on_train_batch_end(self, batch, logs):
        self.done = done = batch + 1
        if (self.first + done) % self.every:
            return
        self._flush()
        weights = tf.linalg.global_norm([tf.convert_to_tensor(v.value) for v in self.model.trainable_variables])
        self.taken = (done, logs["loss"], tf.identity(self.gradient_norm), weights)

    def on_train_end(self, logs):
        self._flush()
        done, (steps, total), (more, sum_more) = self.done, self.before, self.rest
        self.rest = more + done - steps, sum_more + float(logs["loss"]) * done - total

    def _flush(self):
        if not self.taken:
            return
        done, mean, gradient, weights = self.taken
        (steps, total), (more, sum_more), self.taken, self.rest = self.before, self.rest, None, (0, 0.0)
        self.before = done, float(mean) * done
        self.write(
            self.first + done,
            {
                "step_loss": (self.before[1] - total + sum_more) / (done - steps + more),
                "step_learning_rate": self.learning_rate(self.first + done - 1),
                "gradient_norm": float(gradient),
                "weight_norm": float(weights),
            },
        )


class Profile(keras.callbacks.Callback):
    """Profiles some steps after the first ones, which trace and warm up, and says which operations took the time.

    Args:
        folder: TensorBoard's, where the profile goes.
        say: function that prints a line.
    """

    FIRST, STEPS = 5, 10

    def __init__(self, folder, say):
        super().__init__()
        self.folder, self.say, self.done, self.running = folder, say, 0, False

    def on_train_batch_begin(self, batch, logs=None):
        if self.done == self.FIRST:
            tf.profiler.experimental.start(str(self.folder))
            self.running = True

    def on_train_batch_end(self, batch, logs):
        self.done += 1
        if self.done == self.FIRST:
            float(logs["loss"])  # all steps so far have ended
        elif self.done == self.FIRST + self.STEPS:
            self._stop(logs)

    def on_train_end(self, logs=None):
        if self.running:
            self._stop(logs)
        elif self.done <= self.FIRST:
            self.say(f"--profile: it begins after {self.FIRST} steps, and there were {self.done}; nothing is profiled")

    def _stop(self, logs):
        float(logs["loss"])
        tf.profiler.experimental.stop()
        self.running = False
        path = max(self.folder.glob("plugins/profile/*/*.xplane.pb"), key=lambda path: path.stat().st_mtime)
        self.say(f"profile of {self.done - self.FIRST} steps: {path}")
        seconds = operations(path)
        total = sum(seconds.values())
        for name, time in seconds.most_common(10):
            self.say(f"  {time / total:6.1%}  {1000 * time / (self.done - self.FIRST):8.2f} ms a step  {name}")


def operations(path):
    """Time of the CPU's operations in a profile.

    Args:
        path: an `.xplane.pb` file.

    Returns:
        `Counter` of operation type -> seconds, added over all threads.
    """
    space = xplane_pb2.XSpace.FromString(path.read_bytes())
    seconds = collections.Counter()
    for plane in space.planes:
        for line in plane.lines if plane.name == "/host:CPU" else ():
            for event in line.events:
                # A kernel's event is called `its/name:_Type`; the types of oneDNN's begin with Mkl or Native.
                kind = re.fullmatch(r"[^ :]*:_?(?:Mkl)?(?:Native)?(\w+)", plane.event_metadata[event.metadata_id].name)
                if kind and line.name.startswith("tf_Compute"):
                    seconds[kind[1]] += event.duration_ps / 1e12
    return seconds
