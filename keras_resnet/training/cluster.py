"""Several machines that train as one, and what they have to tell each other.

All of them do the same steps, each on its part of every batch. The chief alone writes; the others get from it, at the
start, what its folder says and the state that it continues with, so that no file system need be shared. A worker that
stops, for a signal, stops all at the same step.
"""

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import subprocess
import sys

import numpy as np
import tensorflow as tf

from keras_resnet import programs, runs, workers
from keras_resnet.networks.weights import value
from keras_resnet.recipes import Recipe

WAIT_SECONDS = 300.0  # for all workers at the start
# Fields of a recipe that say where things lie, which each machine knows for itself.
OWN = ("data_dir", "dataset")
# What TensorFlow raises where a worker has gone.
LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InternalError, tf.errors.CancelledError)
# What is in their words, so that it is no fault of the program's.
OF_THE_NETWORK = ("unhealthy", "onnection", "RPC", "ocket", "peer")


class WorkerLost(Exception):
    """A worker is gone in the middle of a training: the state that was saved last is there, and all begin again."""

    exit_status = programs.TRY_AGAIN


class Cluster:
    """The other workers, as each of them sees all.

    Everything here waits for all: every worker has to call the same in the same order.

    Args:
        recipe: `Recipe` that this worker was started with.
        seconds: to wait for the others.
        log_steps: what `Monitor` has; it changes the step.

    Attributes:
        place: `workers.Place`.
        strategy: `tf.distribute.MultiWorkerMirroredStrategy`.

    Raises:
        WorkersError: a worker does not come, or was started with other flags.
    """

    def __init__(self, recipe, seconds=WAIT_SECONDS, log_steps=0):
        self.place = workers.place()
        said = {"recipe": dataclasses.asdict(recipe), "log_steps": log_steps, "versions": runs.origin()["versions"]}
        _hold_alike(self.place, workers.meet(self.place, said, seconds))
        with _at_most(seconds):
            self.strategy = tf.distribute.MultiWorkerMirroredStrategy()
        self._longest = tf.function(lambda n: self._all(tf.reduce_max, n))
        self._together = tf.function(lambda codes: self._all(tf.identity, codes), reduce_retracing=True)

    @property
    def is_chief(self):
        return self.place.is_chief

    @property
    def part(self):
        """(number, parts): what of each batch is this worker's."""
        return self.place.index, len(self.place.addresses)

    @contextlib.contextmanager
    def understood(self):
        """Turns what TensorFlow says when a worker has gone into `WorkerLost`."""
        try:
            yield
        except LOST as error:
            if isinstance(error, tf.errors.InternalError) and not any(word in str(error) for word in OF_THE_NETWORK):
                raise
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
        """Refuses a worker that has another data set than the chief; on all of them alike."""
        first, *others = map(json.loads, self.texts(json.dumps(data.fingerprint, sort_keys=True)))
        for index, theirs in enumerate(others, 1):
            if parts := [part for part in first | theirs if theirs.get(part) != first.get(part)]:
                raise workers.WorkersError(
                    f"{self.place.named(index)} has other data than the chief: other files, sizes or labels among "
                    f"{' and '.join(parts)}; give all the same"
                )

    def hold_weights_alike(self, model):
        """Refuses to go on where a worker has other weights than the chief: to the bit they are the same."""
        digest = hashlib.sha256(b"".join(value(variable).tobytes() for variable in model.weights)).hexdigest()
        first, *others = self.texts(digest)
        if wrong := [self.place.named(i) for i, theirs in enumerate(others, 1) if theirs != first]:
            raise RuntimeError(f"{', '.join(wrong)}: other weights than the chief's")

    def share_folder(self, run, model):
        """Gives the other workers what the chief's folder says of the run, in a folder of their own.

        Args:
            run: `Run`, of each its own.
            model: whether the best model's file is given, too, which a training with `--init` is built of; else they
                have an empty one, which says that it is there.
        """
        told = run.recipe, run.contract, run.history, run.model
        there = [path for path in told if path.exists()]
        contents = {path.name: b"" if path == run.model and not model else path.read_bytes() for path in there}
        given = self._chiefs_arrays({name: np.frombuffer(content, np.uint8) for name, content in contents.items()})
        for path in told:
            if path.name in given and not self.is_chief:
                path.write_bytes(given[path.name].tobytes())

    def _chiefs_arrays(self, arrays):
        """The chief's dict of arrays."""
        packed = io.BytesIO()
        if self.is_chief:
            np.savez(packed, **arrays)
        with np.load(io.BytesIO(self._chiefs(packed.getvalue()))) as given:
            return dict(given)

    def _chiefs(self, content):
        """The chief's bytes."""
        words = np.frombuffer(content + bytes(-len(content) % 4), np.int32) if self.is_chief else np.zeros(0, np.int32)
        mine = np.zeros(int(self._longest(tf.constant(len(words), tf.int32))), np.int32)
        mine[: len(words)] = words

        def taken():
            context = tf.distribute.get_replica_context()
            part = tf.where(context.replica_id_in_sync_group == 0, mine, 0)
            return context.all_reduce("SUM", part)

        made = self.strategy.experimental_local_results(self.strategy.run(tf.function(taken)))[0]
        return made.numpy().tobytes()

    def share(self, variables, progress):
        """Gives the other workers the chief's values of variables, and its `Progress`; returns that."""

        mine = {str(number): value(variable) for number, variable in enumerate(variables)}
        given = self._chiefs_arrays({**mine, "progress": np.array(json.dumps(dataclasses.asdict(progress)))})
        for number, variable in enumerate(() if self.is_chief else variables):
            variable.assign(given[str(number)])
        return type(progress)(**json.loads(str(given["progress"])))


def _hold_alike(place, said):
    """Refuses a worker that was started with other flags or versions than the chief; on all of them alike."""
    first = said[0]
    for index, theirs in enumerate(said):
        name, packages = place.named(index), ("python", "keras-resnet", "tensorflow", "keras")
        if other := [p for p in packages if theirs["versions"].get(p) != first["versions"].get(p)]:
            given, wanted = (of["versions"].get(other[0]) for of in (theirs, first))
            raise workers.WorkersError(f"{name} has {other[0]} {given}, the chief {wanted}; install the same on all")
        own = {field: first["recipe"][field] for field in OWN}
        found = Recipe(**{**theirs["recipe"], **own}).differences(first["recipe"])
        if theirs["log_steps"] != first["log_steps"]:
            found.append(f"--log_steps={theirs['log_steps']} (it has {first['log_steps']})")
        if found:
            given = ", ".join(found).replace("it has", "the chief has")
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
