"""tf.data's service: other machines read and augment a training's pictures. `keras-resnet data_service`.

A dispatcher hands the steps of an epoch out to workers, one by one; their batches come as they are ready, and are put
in order again here: the service changes no bit of a training.
"""

import argparse
import contextlib
import os
import queue
import secrets
import signal
import socket
import threading
import time
import urllib.parse
from typing import NamedTuple

from keras_resnet import environment, programs
from keras_resnet.device import command_line

PORT = 5050  # of the dispatcher, where none is given
MOST_WAITING = 64  # batches that came before their turn, until they are taken more slowly


class ServiceLost(Exception):
    """A tf.data service that brings no more batches."""

    exit_status = programs.TRY_AGAIN


def check(address, flag=""):
    """Refuses what is no address of a dispatcher that answers; `flag` stands before it in the sentence.

    Raises:
        ValueError: it is written otherwise than grpc://HOST:PORT, or nobody answers.
    """
    try:
        parts = urllib.parse.urlsplit(address)
        host, port = parts.hostname, parts.port
        right = host and port and address == f"grpc://{parts.netloc}" and "@" not in parts.netloc
    except ValueError:
        right = False
    if not right:
        raise ValueError(f"{flag}{address}: expected an address, as grpc://localhost:{PORT}")
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError as error:
        raise ValueError(
            f"{flag}{address}: no dispatcher answers ({error.strerror or error}); start one there: "
            f"keras-resnet data_service dispatcher --port={port}"
        ) from error


class Service(NamedTuple):
    """A tf.data service that makes a training's batches.

    Attributes:
        address: grpc://HOST:PORT of the dispatcher.
        wait_seconds: for the next batch.
    """

    address: str
    wait_seconds: float

    def made(self, batches, steps):
        """Batches that its workers make, a `tf.data.Dataset`, in the order of their steps.

        Args:
            batches: `tf.data.Dataset` of (step, batch), made of a dataset with an element for each step.
            steps: their numbers, a range.

        Raises:
            tf.errors.UnknownError: in the pipeline, where a batch does not come; `raise_lost` says so.
        """
        import tensorflow as tf

        def ordered():
            arrived, ended = queue.Queue(2), threading.Event()
            threading.Thread(target=_read, args=(batches, self.address, arrived, ended), daemon=True).start()
            try:
                yield from _in_order(arrived, steps, self.wait_seconds)
            finally:
                ended.set()

        return tf.data.Dataset.from_generator(ordered, output_signature=batches.element_spec[1])


def _read(batches, address, arrived, ended):
    """Puts what a service makes into a queue, as it comes, until it ends or an event is set: None or an error last.

    All of it may wait for ever for a dispatcher that is gone.
    """
    import tensorflow as tf

    # A worker that has outlived its dispatcher may still hold the work of another training under the same number.
    token = secrets.randbits(62)

    def put(what):
        while not ended.is_set():
            with contextlib.suppress(queue.Full):
                return arrived.put(what, timeout=1)

    try:
        service = tf.data.experimental.service
        made = batches.map(lambda step, batch: (tf.constant(token, tf.int64), step, batch))
        for whose, step, batch in made.apply(service.distribute(service.ShardingPolicy.DYNAMIC, address)):
            if int(whose) != token:
                raise ServiceLost("a worker has work that an earlier dispatcher gave out; start all of them again")
            put((int(step), batch))
            if ended.is_set():
                return
        put(None)
    except Exception as error:
        put(error)


def _in_order(arrived, steps, wait_seconds):
    """The batches of steps out of a queue of (step, batch), which None or an error may end too early."""
    waiting = {}
    for step in steps:
        until = time.monotonic() + wait_seconds
        while step not in waiting:
            if len(waiting) >= MOST_WAITING:  # whoever makes this one is slow, or gone; the others may wait
                time.sleep(min(1, wait_seconds))
            try:
                came = arrived.get(timeout=max(0.01, until - time.monotonic()))
            except queue.Empty:
                raise ServiceLost(f"no batch came for {wait_seconds:g} s") from None
            if isinstance(came, Exception):
                raise ServiceLost(programs.sentence(came))
            if came is None:
                raise ServiceLost(
                    f"the work ended before step {step:,} of an epoch; a worker that has outlived its dispatcher "
                    "must be started again, too"
                )
            if len(waiting) >= MOST_WAITING and time.monotonic() > until:
                raise ServiceLost(f"the batch of step {step:,} of an epoch did not come, but {len(waiting)} later ones")
            waiting[came[0]] = came[1]
        yield waiting.pop(step)


def raise_lost(error):
    """Raises `ServiceLost` where that is what an error of a pipeline, a `tf.errors.OpError`, says."""
    _, name, why = str(error).partition(f"{ServiceLost.__name__}: ")
    if name:
        raise ServiceLost(
            f"--data_service: {why.splitlines()[0]}; see to the dispatcher and its workers, then start again: the same "
            "command continues from what was saved last, with the service or without"
        ) from error


def main(arguments, program):
    """The processes of a service, a command each."""
    parser = argparse.ArgumentParser(prog=program, description=__doc__.splitlines()[0].split(" `")[0])
    parts = parser.add_subparsers(dest="part", required=True, metavar="dispatcher | worker")
    dispatcher = parts.add_parser("dispatcher", help="hands the work out; one, at an address that all can reach")
    worker = parts.add_parser("worker", help="does it; one on each machine, which must see the same files")
    worker.add_argument("dispatcher", metavar="grpc://HOST:PORT", help="of the dispatcher")
    worker.add_argument(
        "--host", default=socket.gethostname(), help="by which trainings reach this machine (%(default)s)"
    )
    for one, port in ((dispatcher, PORT), (worker, PORT + 1)):
        one.add_argument("--port", type=int, default=port, help="%(default)s")
    given = vars(parser.parse_args(arguments))
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is to be saved
    try:
        _check_port(given["port"])
        if given.pop("part") == "worker":
            check(given["dispatcher"])
        environment.load_tensorflow()
        _check_port(given["port"])  # some seconds later; gRPC would share it
        _serve(**given)
    except ValueError as error:
        command_line.fail(parser, error)


def _check_port(port):
    if not 0 < port < 1 << 16:
        raise ValueError(f"--port={port}: expected a number from 1 to 65535")
    try:
        socket.create_server(("", port)).close()
    except OSError as error:
        raise ValueError(f"--port={port}: {os.strerror(error.errno)}; give another") from error


def _serve(port, dispatcher="", host=""):
    """Serves until the process is ended: as a worker, where a dispatcher is given."""
    import tensorflow as tf

    service = tf.data.experimental.service
    if dispatcher:
        print(f"asks {dispatcher}, which must be a dispatcher, for work", flush=True)  # it waits for ever
        config = service.WorkerConfig(dispatcher.removeprefix("grpc://"), f"{host}:{port}", port)
        server = service.WorkerServer(config)
    else:
        server = service.DispatchServer(service.DispatcherConfig(port))
    print(f"listens at port {port}; Ctrl-C ends it", flush=True)
    signal.pause()
    del server
