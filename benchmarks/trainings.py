"""What benchmarks of whole trainings have in common: a run each, in a process of its own, and figures over seeds."""

import statistics
import subprocess
import sys

from keras_resnet import files, runs
from keras_resnet.history import read_history


def trained(path, flags, split="validation"):
    """Trains a run where it is not finished yet, and asks for its report on a split; of a finished one, seconds.

    Args:
        path: `pathlib.Path` of the run's folder.
        flags: list of `train.py`'s.
        split: of the report.

    Returns:
        (report of the split, rows of the history): dicts.

    Raises:
        SystemExit: the training failed, or the folder is another recipe's; its last words.
    """
    run = runs.Run(path)
    command = [sys.executable, "train.py", *flags, f"--run_dir={path}", f"--split={split}"]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(command)}: {result.stderr.strip().splitlines()[-1]}")
    return files.read_json(run.report)[split], read_history(run.history)


def mean_and_deviation(values, form="{:.1f}"):
    """Mean and standard deviation of several seeds; empty for fewer than two."""
    if len(values) < 2:
        return ""
    return f"{form.format(statistics.mean(values))} ± {form.format(statistics.stdev(values))}"


def markdown(head, rows):
    """Lines of a table."""
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"
