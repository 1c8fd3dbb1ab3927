"""Real processes of `train.py`: started, finished, killed; and what their runs hold."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import numpy as np

ROOT = pathlib.Path(__file__).parents[1]
SMALL = ("--dataset=digits", "--epochs=3", "--width=0.5", "--batch_size=32", "--seed=7", "--augmentation=crop,flip")


def start(run_dir, *flags, recipe=SMALL):
    command = [sys.executable, str(ROOT / "train.py"), *recipe, f"--run_dir={run_dir}", *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(run_dir, *flags, status=0, recipe=SMALL):
    process = start(run_dir, *flags, recipe=recipe)
    output = process.communicate(timeout=500)[0]
    assert process.returncode == status, output
    return output


def python(*command, status=0, errors=False):
    """What a Python program printed that ended with a status; of one that failed, or with `errors`, its errors, too."""
    made = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, cwd=ROOT, timeout=500)
    assert made.returncode == status, made.stdout + made.stderr
    return made.stdout + made.stderr * bool(status or errors)


def free_ports(count):
    """Ports of this machine that nobody has; a moment later somebody might."""
    sockets = [socket.create_server(("", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start_workers(run_dir, *flags, count=2, recipe=SMALL, others=()):
    """Processes of `train.py --strategy=multi_worker` that train together; `others`: flags that the chief lacks."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
    started = []
    for index in range(count):
        command = [sys.executable, str(ROOT / "train.py"), *recipe, "--strategy=multi_worker", "--wait_seconds=120"]
        command += [f"--run_dir={run_dir if not index else f'{run_dir}-{index}'}", *flags, *(others if index else ())]
        told = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = os.environ | {"TF_CONFIG": json.dumps(told)}
        started.append(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
        )
    return started


def ended(processes, seconds=300):
    """(status, output) of each; of one that does not end the test fails, and all are killed."""
    until = time.monotonic() + seconds
    try:
        said = [process.communicate(timeout=max(1, until - time.monotonic()))[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, text) for process, text in zip(processes, said, strict=True)]


def state(run_dir):
    with np.load(run_dir / "checkpoints" / "latest.npz") as saved:
        return {name: array for name, array in saved.items() if name != "progress"}


def assert_same_state(one, other):
    """Weights and optimizer, bit for bit."""
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


def wait_until(condition, process, seconds=500):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.02)


def kill(run_dir, condition, *flags, recipe=SMALL):
    """Starts a run and kills it once `condition()` holds."""
    process = start(run_dir, *flags, recipe=recipe)
    wait_until(condition, process)
    process.kill()
    process.wait()


# `train.py`, and at its end, which is `os._exit`, whether TensorFlow was loaded.
TOLD = """
import os, runpy, sys
def told(status, end=os._exit):
    print("loaded:", "tensorflow" in sys.modules, flush=True)
    end(status)
os._exit = told
sys.argv[0] = "train.py"
runpy.run_path("train.py", run_name="__main__")
"""


def told(*flags, **variables):
    """The finished process of `train.py` with flags; its output says whether TensorFlow was loaded."""
    return subprocess.run(
        [sys.executable, "-c", TOLD, *flags],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=500,
        env={**os.environ, **variables},
    )
