"""Several machines that train as one, and what they have to tell each other.

All of them do the same steps, each on its part of every batch. The chief alone writes; the others get from it, at the
start, what its folder says and the state that it continues with, so that no file system need be shared. A worker that
stops, for a signal, stops all at the same step.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import tensorflow as tf

from keras_resnet import workers
from keras_resnet.networks.weights import value
from keras_resnet.recipes import Recipe

WAIT_SECONDS = 300.0  # for all workers at the start
# Fields of a recipe that say where things lie, which each machine knows for itself.
OWN = ("data_dir", "dataset")


# What TensorFlow raises where a worker has gone.
LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InternalError, tf.errors.CancelledError)


class WorkerLost(Exception):
    """A worker is gone in the middle of a training: the state that was saved last is there, and all begin again."""

    exit_status = workers.Absent.exit_status


class Cluster:
    """The other workers, as each of them sees all.

    Everything here waits for all: every worker has to call the same in the same order.

    Args:
        recipe: `Recipe` that this worker was started with.
        seconds: to wait for the others.

    Attributes:
        place: `workers.Place`.
        strategy: `tf.distribute.MultiWorkerMirroredStrategy`.

    Raises:
        WorkersError: a worker does not come, or was started with other flags.
    """

    def __init__(self, recipe, seconds=WAIT_SECONDS):
        self.place = workers.place()
        recipes = workers.meet(self.place, dataclasses.asdict(recipe), seconds)
        _hold_alike(self.place, recipes)
        with _at_most(seconds):
            self.strategy = tf.distribute.MultiWorkerMirroredStrategy()
        self._longest = tf.function(lambda n: self._all(tf.reduce_max, n))
        self._together = tf.function(lambda codes: self._all(tf.identity, codes), reduce_retracing=True)

    @property
    def is_chief(self):
        return self.place.is_chief

    @contextlib.contextmanager
    def understood(self):
        """Turns what TensorFlow says when a worker has gone into `WorkerLost`."""
        try:
            yield
        except LOST as error:
            raise WorkerLost(
                f"{self.place.named(self.place.index)}: another worker is gone; start all workers again, with the same "
                "command: they continue from what the chief saved last"
            ) from error

    def _all(self, reduce, mine):
        """What `reduce` makes of every replica's tensor, stacked."""

        def gathered():
            return reduce(tf.distribute.get_replica_context().all_gather(mine[None], 0))

        return self.strategy.experimental_local_results(self.strategy.run(gathered))[0]

    def texts(self, text):
        """Each worker's text, in their order."""
        codes = np.frombuffer(text.encode(), np.uint8).astype(np.int32)
        longest = int(self._longest(tf.constant(len(codes), tf.int32)))
        codes = np.pad(codes, (0, longest - len(codes)), constant_values=-1)
        each = self._together(tf.constant(codes, tf.int32)).numpy()
        each = each[:: len(each) // len(self.place.addresses)]  # of a worker's replicas the first
        return [bytes(one[one >= 0].astype(np.uint8)).decode() for one in each]

    def any(self, flag):
        """Whether it is so on any worker."""
        return bool(self._longest(tf.constant(int(bool(flag)), tf.int32)))

    def hold_data_alike(self, data):
        """The same of another data set."""
        first, *others = self.texts(json.dumps(data.fingerprint, sort_keys=True))
        for index, theirs in enumerate(others, 1):
            if theirs != first:
                raise workers.WorkersError(
                    f"{self.place.named(index)} has other data: {theirs[:200]}; the chief has {first[:200]}"
                )

    def hold_weights_alike(self, model):
        """Refuses to go on where a worker has other weights than the chief: to the bit they are the same."""
        digest = hashlib.sha256(b"".join(value(variable).tobytes() for variable in model.weights)).hexdigest()
        first, *others = self.texts(digest)
        if wrong := [self.place.named(i) for i, theirs in enumerate(others, 1) if theirs != first]:
            raise RuntimeError(f"{', '.join(wrong)}: other weights than the chief's")

    def share_folder(self, run):
        """Gives the other workers what the chief's folder says of the run, in a folder of their own."""
        known = {path.name: path.read_text() for path in (run.recipe, run.contract, run.history) if path.exists()}
        first = json.loads(self.texts(json.dumps([known, run.model.exists()]) if self.is_chief else "")[0])
        if self.is_chief:
            return
        for name, text in first[0].items():
            (run.path / name).write_text(text)
        if first[1]:
            run.model.touch()

    def share(self, variables, progress):
        """Gives the other workers the chief's values of variables, and its `Progress`; returns that."""

        def taken():
            context = tf.distribute.get_replica_context()
            return [context.all_gather(part[None], 0)[0] for part in mine]

        mine = [tf.constant(value(variable)) for variable in variables]
        firsts = self.strategy.experimental_local_results(self.strategy.run(tf.function(taken)))[0]
        if not self.is_chief:
            for variable, first in zip(variables, firsts, strict=True):
                variable.assign(first)
        saved = json.loads(self.texts(json.dumps(dataclasses.asdict(progress)))[0])
        return type(progress)(**saved)


def _hold_alike(place, recipes):
    """Refuses a worker that was started with other flags than the chief; on all of them alike."""
    first = recipes[0]
    for index, theirs in enumerate(recipes):
        if theirs.keys() != first.keys():
            raise workers.WorkersError(
                f"{place.named(index)} runs another keras-resnet than the chief; install the same"
            )
        own = {name: first[name] for name in OWN}
        if found := Recipe(**{**theirs, **own}).differences(first):
            given, name = ", ".join(found).replace("it has", "the chief has"), place.named(index)
            raise workers.WorkersError(f"{name} was started with {given}; give all workers the same flags")


# TensorFlow waits without letting any other thread or signal of its process in.
WATCH = """
import os, select, sys
if not select.select([0], [], [], float(sys.argv[1]))[0]:
    print("train: all workers were there, but did not join within", sys.argv[1], "s; start all again", file=sys.stderr)
    os.kill(int(sys.argv[2]), 9)
"""


@contextlib.contextmanager
def _at_most(seconds):
    """Ends the process, with a sentence and by SIGKILL, where TensorFlow waits longer for a worker that was there."""
    command = [sys.executable, "-S", "-c", WATCH, f"{seconds:g}", str(os.getpid())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as watch:
        yield
        watch.stdin.close()
