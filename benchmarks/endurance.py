"""Claim: over 10,000 requests the serve page gains no memory, over 200 epochs a training little; neither opens files.

    python -m benchmarks.endurance [training] [serving] [--epochs=200] [--requests=10000] [--out=runs/endurance]

A narrow ResNet-8 learns the bundled digits; `keras-resnet serve` finds cells in pictures, each on a connection of its
own, as browsers and scripts ask it. Both are looked at from outside, in /proc: so only Linux can run it. What a process
has at a quarter of the way is compared with what it has at the end: before, caches and allocators fill.
"""

import argparse
import contextlib
import http.client
import os
import pathlib
import re
import subprocess
import sys
import time

import numpy as np

from benchmarks.trainings import markdown

ROOT = pathlib.Path(__file__).parents[1]
FLAGS = ("--dataset=digits", "--width=0.125", "--batch_size=128", "--schedule=cosine", "--learning_rate=0.05")
LOOKS = 100  # at a server, over all requests


def used(pid):
    """(resident MB, open files) of a process."""
    resident = re.search(r"VmRSS:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())
    return int(resident[1]) / 1024, len(os.listdir(f"/proc/{pid}/fd"))


def training(run_dir, epochs):
    """Yields what a training has after each epoch."""
    command = [sys.executable, str(ROOT / "train.py"), *FLAGS, f"--epochs={epochs}", f"--run_dir={run_dir}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        history, seen = run_dir / "history.csv", 0
        while process.poll() is None and seen < epochs:
            time.sleep(0.01)
            done = history.read_text().count("\n") - 1 if history.exists() else 0
            if done > seen:
                seen = done
                with contextlib.suppress(FileNotFoundError, TypeError):  # it has just ended
                    yield used(process.pid)
        if process.wait():
            sys.exit(process.stderr.read().strip().splitlines()[-1])


@contextlib.contextmanager
def served(model):
    """The process that serves a model's page, and its port."""
    code = f"from keras_resnet.device import commands; commands.main(['serve', {str(model)!r}, '--port=0'], 'serve')"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, **pipes) as process:
        try:
            yield process, int(re.search(r":(\d+) ", process.stdout.readline())[1])
        finally:
            process.terminate()


def asked(port, content):
    """The answer to a posted file, bytes of JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request("POST", "/classify", content)
        answer = connection.getresponse()
        body = answer.read()
    if answer.status != 200:
        raise SystemExit(f"the page answers with {answer.status}: {body.decode()}")
    return body


def serving(model, content, requests):
    """Yields what a server has after each hundredth of the requests; in all of them it gives the same answer."""
    with served(model) as (process, port):
        for number in range(1, requests + 1):
            asked(port, content)
            if number % max(1, requests // LOOKS) == 0:
                yield used(process.pid)


def growth(looks):
    """MB and files that a process has gained between a quarter of its looks and the last, and MB per hundred looks."""
    late = np.array(looks[len(looks) // 4 :])
    slope = np.polyfit(np.arange(len(late)), late[:, 0], 1)[0]
    return late[-1, 0] - late[0, 0], int(late[-1, 1] - late[0, 1]), 100 * slope


def line(name, looks):
    """A row of the table."""
    more, files, slope = growth(looks)
    shown = [looks[int(part * (len(looks) - 1))] for part in (0, 0.25, 0.5, 0.75, 1)]
    memory, handles = (", ".join(f"{one[i]:.0f}" for one in shown) for i in range(2))
    return name, memory, f"{more:+.1f} ({slope:+.2f} per hundred looks)", handles, f"{files:+d}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="training, serving; both by default")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--model", default="keras_resnet/models/bccd-resnet18/model.tflite", help="that is served")
    parser.add_argument("--file", type=pathlib.Path, default=ROOT / "docs" / "digit_3.png", help="that is posted")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/endurance"), help="a new folder")
    given, rows = parser.parse_args(), []
    parts = given.parts or ["training", "serving"]
    if "training" in parts:
        rows.append(line(f"training, {given.epochs} epochs", list(training(given.out.resolve(), given.epochs))))
    if "serving" in parts:
        looks = list(serving(given.model, given.file.read_bytes(), given.requests))
        rows.append(line(f"serving, {given.requests:,} requests", looks))
    head = ("what", "resident MB at 0, 25, 50, 75, 100 %", "MB from 25 %", "open files", "from 25 %")
    print("\n".join(markdown(head, rows)))


if __name__ == "__main__":
    main()
