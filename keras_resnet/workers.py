"""Which of several machines this is, and how they find each other: `--strategy=multi_worker`, without TensorFlow.

`TF_CONFIG` says it in TensorFlow's own words, a JSON object that is the same on all machines but for the index; under
SLURM it is made of what that says. Before TensorFlow begins, which would wait for ever, all workers meet at the chief's
address: one that does not come, or was started with other flags, is named within a stated time.
"""

import contextlib
import dataclasses
import json
import os
import re
import socket
import time

from keras_resnet import programs

EXAMPLE = '{"cluster": {"worker": ["one:12345", "two:12345"]}, "task": {"type": "worker", "index": 0}}'
PORT = 12345  # under SLURM, on every node
LONGEST = 1 << 20  # bytes of what a worker says of itself
EVERY = 0.5  # seconds between two attempts to reach the chief


class WorkersError(ValueError):
    """Workers that don't go together; the message names which."""


class Absent(WorkersError):
    """Workers that don't meet."""

    exit_status = programs.TRY_AGAIN


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
    shown = f"TF_CONFIG is {text[:300]!r}" if text else "there is no TF_CONFIG"
    try:
        saved = json.loads(text)
        addresses, task = saved["cluster"]["worker"], saved["task"]
        if other := sorted({*saved["cluster"], task.get("type", "worker")} - {"worker"}):
            raise ValueError(f"{other[0]!r} is no worker")
        index = task["index"]
        if isinstance(addresses, str) or not all(isinstance(one, str) for one in addresses):
            raise ValueError("worker is no list of addresses")
        if isinstance(index, bool) or not str(index).isdecimal() or int(index) >= len(addresses):
            raise ValueError(f"index {index} of {len(addresses)} workers")
        for address in addresses:
            host, _, port = address.rpartition(":")
            if not host or set(host) & set("/ []:") or not port.isdecimal() or not 0 < int(port) < 1 << 16:
                raise ValueError(f"{address!r} is no HOST:PORT")
        if len({*addresses}) < len(addresses):
            raise ValueError("an address comes twice")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = f" (it has no {error})" if isinstance(error, KeyError) else f" ({error})"
        why = "" if isinstance(error, json.JSONDecodeError | RecursionError) else why
        expected = f"expected TF_CONFIG='{EXAMPLE}', the same on all machines but for the index"
        raise ValueError(f"--strategy=multi_worker: {shown}{why}; {expected}") from error
    return Place(int(index), tuple(addresses))


def others_are_meant():
    """Whether the environment tells of several workers, though nobody may have asked for `--strategy=multi_worker`."""
    try:
        return len(json.loads(os.environ.get("TF_CONFIG", ""))["cluster"]["worker"]) > 1
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _of_slurm(environment):
    """What `TF_CONFIG` would say of a SLURM step: one worker a node, which has all its GPUs."""
    try:
        hosts, tasks = hosts_of(environment["SLURM_STEP_NODELIST"]), int(environment["SLURM_STEP_NUM_TASKS"])
        index = int(environment["SLURM_PROCID"])
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"--strategy=multi_worker: SLURM's step can't be read ({error}); start it by srun, or set TF_CONFIG"
        ) from error
    if tasks != len(hosts):
        raise ValueError(
            f"--strategy=multi_worker: {tasks} tasks on {len(hosts)} nodes; a worker takes all GPUs of its node: "
            "srun --ntasks-per-node=1"
        )
    worker = {"type": "worker", "index": index}
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
    if set("".join(hosts)) & set("[]"):
        raise ValueError(f"{nodes} has two ranges in one name")
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
            f"{here.named(here.index)}: port {port} can't be used ({os.strerror(error.errno)}): another worker's?"
        ) from error
    return _received(here, said, until, seconds) if here.is_chief else _sent(here, said, until, seconds)


def _received(here, said, until, seconds):
    """The chief's part: hears all others, then tells all of them what all have said, or why they don't go together."""
    _, _, port = here.addresses[0].rpartition(":")
    heard = {}  # index -> (connection, what it says)
    try:
        with socket.create_server(("", int(port))) as server:
            while len(heard) < len(here.addresses) - 1:
                server.settimeout(max(0.01, until - time.monotonic()))
                connection, _ = server.accept()
                if not (heard_now := _heard(connection, len(here.addresses))):
                    connection.close()
                    continue
                index, addresses, theirs = heard_now
                heard = {i: one for i, one in heard.items() if _is_there(one[0])}
                wrong = ""
                if addresses != list(here.addresses):
                    wrong = f"worker {index} was told of the workers {', '.join(addresses)}, the chief of "
                    wrong += f"{', '.join(here.addresses)}; give all the same TF_CONFIG but for the index"
                elif index in heard:
                    wrong = f"two workers have index {index}; give each its own in TF_CONFIG"
                if wrong:
                    _answer([connection, *(one for one, _ in heard.values())], {"wrong": wrong})
                    raise WorkersError(wrong)
                heard[index] = connection, theirs
            said_by_all = [said, *(heard[index][1] for index in range(1, len(here.addresses)))]
            _answer([connection for connection, _ in heard.values()], {"all": said_by_all})
    except TimeoutError as error:
        missing = ", ".join(here.named(index) for index in range(1, len(here.addresses)) if index not in heard)
        raise Absent(f"{missing}: not there after {seconds:g} s; start all, or wait longer: --wait_seconds") from error
    return said_by_all


def _heard(connection, count):
    """(index, addresses, what it says) of a worker's line; None of anything else that came to the port."""
    connection.settimeout(5)
    try:
        index, addresses, said = json.loads(connection.makefile("r", encoding="utf-8").readline(LONGEST))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    known = type(index) is int and index > 0 and isinstance(addresses, list) and isinstance(said, dict)
    return (index, list(map(str, addresses)), said) if known else None


def _is_there(connection):
    """Whether the worker at the other end still waits: it says nothing more, and would have closed."""
    try:
        connection.setblocking(False)
        return connection.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        connection.setblocking(True)


def _answer(connections, answer):
    for connection in connections:
        with contextlib.suppress(OSError), connection:
            connection.sendall((json.dumps(answer) + "\n").encode())


def _sent(here, said, until, seconds):
    """The others' part: tells the chief, as soon as it is there, and hears what all have said."""
    (host, _, port), why = here.addresses[0].rpartition(":"), ""
    while time.monotonic() < until:
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=5) as connection:
                connection.settimeout(max(1, until - time.monotonic()))
                connection.sendall((json.dumps([here.index, here.addresses, said]) + "\n").encode())
                answer = json.loads(connection.makefile("r").readline(LONGEST * len(here.addresses)))
        except (OSError, ValueError) as error:  # not there yet, or it has ended
            why = f" ({error})" if isinstance(error, OSError) else ""
            time.sleep(EVERY)
            continue
        if "wrong" in answer:
            raise WorkersError(answer["wrong"])
        return answer["all"]
    raise Absent(
        f"{here.named(0)}, the chief: not there, or not all others, after {seconds:g} s{why}; "
        "start all, or wait longer: --wait_seconds"
    )
