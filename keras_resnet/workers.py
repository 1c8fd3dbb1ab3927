"""Which of several machines this is, and how they find each other: `--strategy=multi_worker`, without TensorFlow.

`TF_CONFIG` says it in TensorFlow's own words, a JSON object that is the same on all machines but for the index; under
SLURM it is made of what that says. Before TensorFlow begins, which would wait for ever, all workers meet at the chief's
address: one that does not come, or was started with other flags, is named within a stated time.
"""

import dataclasses
import json
import os
import re
import socket
import time

EXAMPLE = '{"cluster": {"worker": ["one:12345", "two:12345"]}, "task": {"type": "worker", "index": 0}}'
PORT = 12345  # under SLURM, on every node
LONGEST = 1 << 20  # bytes of what a worker says of itself
EVERY = 0.5  # seconds between two attempts to reach the chief


class WorkersError(ValueError):
    """Workers that don't go together; the message names which."""


class Absent(WorkersError):
    """Workers that don't meet."""

    exit_status = 75  # EX_TEMPFAIL of sysexits.h: try again


@dataclasses.dataclass(frozen=True)
class Place:
    """This machine among the others.

    Attributes:
        index: its number; 0 is the chief, which writes the run's folder.
        addresses: HOST:PORT of all workers.
    """

    index: int
    addresses: tuple[str, ...]

    @property
    def is_chief(self):
        return self.index == 0

    def named(self, index):
        """A worker, for people."""
        return f"worker {index} ({self.addresses[index]})"


def place():
    """This machine's `Place`, by the environment; TensorFlow finds it there, too.

    Raises:
        ValueError: it says none, or what it says can't be.
    """
    if "TF_CONFIG" not in os.environ and "SLURM_PROCID" in os.environ:
        os.environ["TF_CONFIG"] = json.dumps(_of_slurm(os.environ))
    text = os.environ.get("TF_CONFIG", "")
    said = f"--strategy=multi_worker: {f'TF_CONFIG is {text!r}' if text else 'there is no TF_CONFIG'}"
    try:
        saved = json.loads(text)
        addresses, task = saved["cluster"]["worker"], saved["task"]
        if other := sorted({*saved["cluster"], task.get("type", "worker")} - {"worker"}):
            raise ValueError(f"{other[0]!r} is no worker")
        if not 0 <= int(task["index"]) < len(addresses):
            raise ValueError(f"index {task['index']} of {len(addresses)} workers")
        for address in addresses:
            host, _, port = address.rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
                raise ValueError(f"{address!r} is no HOST:PORT")
        if len({*addresses}) < len(addresses):
            raise ValueError("an address comes twice")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = "" if isinstance(error, json.JSONDecodeError) else f" ({error})"
        expected = f"expected TF_CONFIG='{EXAMPLE}', the same on all machines but for the index"
        raise ValueError(f"{said}{why}; {expected}") from error
    return Place(int(task["index"]), tuple(addresses))


def _of_slurm(environment):
    """What `TF_CONFIG` would say of a SLURM step: one worker a node, which has all its GPUs."""
    hosts, tasks = hosts_of(environment["SLURM_STEP_NODELIST"]), int(environment["SLURM_STEP_NUM_TASKS"])
    if tasks != len(hosts):
        raise ValueError(
            f"--strategy=multi_worker: {tasks} tasks on {len(hosts)} nodes; a worker takes all GPUs of its node: "
            "srun --ntasks-per-node=1"
        )
    worker = {"type": "worker", "index": int(environment["SLURM_PROCID"])}
    return {"cluster": {"worker": [f"{host}:{PORT}" for host in hosts]}, "task": worker}


def hosts_of(nodes):
    """The hosts of SLURM's list of nodes, `gpu[08-10,12],login`, in its order."""
    hosts = []
    for prefix, ranges, suffix in re.findall(r"([^,\[]+)(?:\[([^\]]*)\])?([^,\[]*)", nodes):
        if not ranges:
            hosts.append(prefix + suffix)
        for part in filter(None, ranges.split(",")):
            first, _, last = part.partition("-")
            numbers = range(int(first), int(last or first) + 1)
            hosts += [f"{prefix}{number:0{len(first)}}{suffix}" for number in numbers]
    return hosts


def meet(here, said, seconds):
    """Waits until all workers are there; returns what each says of itself, a list in their order.

    Args:
        here: this machine's `Place`.
        said: what this worker says, an object of JSON.
        seconds: to wait.

    Raises:
        Absent: one does not come in time, and nobody waits longer.
        WorkersError: this one's port is taken.
    """
    until, (_, _, port) = time.monotonic() + seconds, here.addresses[here.index].rpartition(":")
    try:
        socket.create_server(("", int(port))).close()
    except OSError as error:
        raise WorkersError(
            f"{here.named(here.index)}: port {port} can't be used ({os.strerror(error.errno)})"
        ) from error
    return _received(here, said, until, seconds) if here.is_chief else _sent(here, said, until, seconds)


def _received(here, said, until, seconds):
    """The chief's part: hears all others, then tells all of them what all have said."""
    _, _, port = here.addresses[0].rpartition(":")
    heard, lines = {0: said}, []
    try:
        with socket.create_server(("", int(port))) as server:
            while len(heard) < len(here.addresses):
                server.settimeout(max(0.01, until - time.monotonic()))
                connection, _ = server.accept()
                connection.settimeout(5)
                line = connection.makefile("rw", encoding="utf-8")
                try:
                    index, theirs = json.loads(line.readline(LONGEST))
                except (OSError, ValueError, TypeError):  # somebody else's
                    connection.close()
                    continue
                heard[index] = theirs
                lines.append((connection, line))
            answer = [heard[index] for index in range(len(here.addresses))]
            for connection, line in lines:
                line.write(json.dumps(answer) + "\n")
                line.flush()
                connection.close()
    except TimeoutError as error:
        missing = ", ".join(here.named(index) for index in range(len(here.addresses)) if index not in heard)
        raise Absent(f"{missing}: not there after {seconds:g} s; start all, or wait longer: --wait_seconds") from error
    return answer


def _sent(here, said, until, seconds):
    """The others' part: tells the chief, as soon as it is there, and hears what all have said."""
    host, _, port = here.addresses[0].rpartition(":")
    while time.monotonic() < until:
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=5) as connection:
                connection.settimeout(max(1, until - time.monotonic()))
                line = connection.makefile("rw", encoding="utf-8")
                line.write(json.dumps([here.index, said]) + "\n")
                line.flush()
                return json.loads(line.readline(LONGEST * len(here.addresses)))
        except (OSError, ValueError):  # not there yet, or it has ended
            time.sleep(EVERY)
    raise Absent(f"{here.named(0)}, the chief: not there, or not all others, after {seconds:g} s")
