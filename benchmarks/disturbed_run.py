"""What fault injection has in common: a process of `train.py`, its end, and whether the run can still be finished."""

import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np

from benchmarks import same_run
from keras_resnet import runs

ROOT = pathlib.Path(__file__).parents[1]
EPOCHS, EPOCH_STEPS = 3, 17
FLAGS = (
    *("--dataset=digits", f"--epochs={EPOCHS}", "--width=0.25", "--batch_size=64", "--augmentation=crop,flip"),
    *("--ema=0.9", "--seed=7", "--save_seconds=0"),
)
SAME = "the same bits"
SILENT = (0, -signal.SIGKILL, -signal.SIGTERM)  # nobody has, or can say, anything then


@dataclasses.dataclass
class Row:
    """What became of one fault.

    Attributes:
        fault: what was done.
        status: the exit status of the process that met it; a negative one is a signal's.
        said: its last line.
        end: what the same command made of it, `SAME` where all is well.
    """

    fault: str
    status: int
    said: str
    end: str

    @property
    def is_well(self):
        return self.end == SAME and (self.status in SILENT or self.said.startswith(("train: ", "export: ")))


@dataclasses.dataclass
class Stage:
    """Where faults happen.

    Attributes:
        folder: of all runs.
        whole: the folder of the undisturbed run.
        expected: what `same_run.contents` says of it.
        kills, seed: how many, and of the drawing of their moments.
    """

    folder: pathlib.Path
    whole: pathlib.Path
    expected: dict
    kills: int = 20
    seed: int = 0


def staged(folder, kills=20, seed=0):
    """A stage in a new folder, whose undisturbed run is trained."""
    whole = folder / "whole"
    status, said = ended(start(whole))
    if status:
        sys.exit(f"the undisturbed run ended with {status}: {said}")
    return Stage(folder, whole, same_run.contents(whole), kills, seed)


def command(run_dir, *flags):
    return [sys.executable, str(ROOT / "train.py"), *FLAGS, f"--run_dir={run_dir}", *flags]


def start(run_dir, *flags, **variables):
    """The process of `train.py` in a folder."""
    return process(command(run_dir, *flags), **variables)


def process(words, **variables):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(words, **pipes, cwd=ROOT, env={**os.environ, **variables})


def ended(started):
    """(exit status, last line) of a process; a traceback is never what it should say."""
    output = started.communicate(timeout=600)[0]
    lines = [line.strip() for line in output.replace("\r", "\n").splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    return started.returncode, f"TRACEBACK: {last}" if "Traceback" in output else last


def wait_until(condition, started):
    """Returns once something holds, or the process has ended."""
    while started.poll() is None and not condition():
        time.sleep(0.0005)


def rows_of(run_dir):
    """Epochs in a run's history."""
    try:
        return runs.Run(run_dir).history.read_text().count("\n") - 1
    except FileNotFoundError:
        return 0


def saved_step(run_dir):
    """The step of a run's newest checkpoint, 0 where there is none, or where it is just being exchanged."""
    try:
        with np.load(runs.Run(run_dir).checkpoint) as saved:
            return json.loads(str(saved["progress"]))["step"]
    except FileNotFoundError:
        return 0


def unfinished(stage, run_dir):
    """A copy of a run that was stopped in its second epoch."""
    cut = stage.folder / "unfinished"
    if not cut.exists():
        stopped = start(cut)
        wait_until(lambda: rows_of(cut) and saved_step(cut) > 20, stopped)
        stopped.terminate()
        ended(stopped)
    shutil.copytree(cut, run_dir)


def after(run_dir, expected, *flags):
    """What the same command makes of a disturbed run: `SAME`, or what differs."""
    status, said = ended(start(run_dir, *flags))
    if status:
        return f"status {status}: {said}"
    different = same_run.differences(expected, same_run.contents(run_dir))
    return f"DIFFERS in {len(different)}: {', '.join(different[:3])}" if different else SAME


def half_written(folder):
    """Names of temporary files that an orderly end has left."""
    return [path.name for path in folder.rglob(".*") if path.suffix and path.is_file()] if folder.exists() else []


def row(fault, run_dir, started, expected, *flags, mend=lambda: None):
    """The row of a process that meets a fault; where it fails, `mend` takes the cause away."""
    status, said = ended(started)
    if said.startswith("TRACEBACK"):
        return Row(fault, status, said, "a fault of the program")
    if left := half_written(run_dir):
        return Row(fault, status, said, f"LEFT {', '.join(left)}")
    if status:
        mend()
    return Row(fault, status, said, after(run_dir, expected, *flags))
