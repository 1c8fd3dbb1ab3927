"""Claim: a training that is disturbed says so in one sentence, and the same command then ends with the same bits.

    python -m benchmarks.fault_injection [FAULT…] [--kills=20] [--seed=0] [--out=runs/faults]

A narrow ResNet-8 learns the bundled digits for three epochs, undisturbed, with a checkpoint after each step. Then the
same command meets each fault in a folder of its own; once the fault's cause is gone it is typed again until it ends
with 0, and the run is held to the undisturbed one (`benchmarks/same_run.py`). The program ends with 1 where one
differs, says nothing, shows a traceback or leaves a half-written file. Disks that are full or can't be written are
small tmpfs, which only root can mount; elsewhere those faults are left out, with a line on standard error.
"""

import argparse
import contextlib
import itertools
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
from PIL import Image

from benchmarks import same_run
from benchmarks.disturbed_run import (
    EPOCH_STEPS,
    EPOCHS,
    SAME,
    Row,
    after,
    ended,
    half_written,
    process,
    row,
    rows_of,
    saved_step,
    staged,
    start,
    unfinished,
    wait_until,
)
from benchmarks.trainings import markdown
from keras_resnet import environment, runs


class NoDisk(Exception):
    """This machine lets nobody mount a tmpfs."""


# A kill's moment is drawn behind a signpost, so that short phases are met, too: whether it is reached, seconds at most.
SIGNPOSTS = {
    "imports": (lambda run: True, 4.0),
    "compilation": (lambda run: run.recipe.exists(), 1.5),
    "steps": (lambda run: run.checkpoint.exists(), 3.0),
    "a checkpoint's write": (lambda run: any(run.path.glob("checkpoints/.latest-*")), 0.002),
    "the model's write": (lambda run: any(run.path.glob(".model-*")), 0.03),
    "an epoch's end": (lambda run: rows_of(run.path) > 0, 0.05),
    "the report": (lambda run: rows_of(run.path) == EPOCHS, 3.0),
}


def phase(run):
    """In which phase a killed process was, by what it has left."""
    if not run.recipe.exists():
        return "imports"
    for pattern, name in (("checkpoints/.*-*", "a checkpoint's write"), (".model-*", "the model's write")):
        if any(run.path.glob(pattern)):
            return name
    if any(run.path.glob(".history-*")) or (run.model.exists() and not run.history.exists()):
        return "an epoch's end"
    if run.report.exists():
        return "the end, behind the report"
    if rows_of(run.path) == EPOCHS:
        return "the report"
    if not run.checkpoint.exists():
        return "compilation"
    return "steps" if saved_step(run.path) % EPOCH_STEPS else "an epoch's end"


def killed(run_dir, expected, draw, signpost):
    """SIGKILL at a moment that `draw`, a `random.Random`, chooses behind a signpost."""
    run, (reached, most) = runs.Run(run_dir), SIGNPOSTS[signpost]
    started, delay = start(run_dir), draw.uniform(0, most)
    wait_until(lambda: reached(run), started)
    time.sleep(delay)
    started.kill()
    status, _ = ended(started)
    what = "kill -9 in" if status else "NO KILL, it had ended:"
    fault = f"{what} {phase(run)}, step {saved_step(run_dir)} ({delay:.4f} s behind the begin of {signpost})"
    return Row(fault, status, "", after(run_dir, expected))


def kills(stage):
    draw = random.Random(stage.seed)
    for number, signpost in zip(range(stage.kills), itertools.cycle(SIGNPOSTS), strict=False):
        yield killed(stage.folder / f"kill-{number}", stage.expected, draw, signpost)


def signals(stage):
    """SIGTERM and Ctrl-C, in the steps and elsewhere."""
    for fault, numbers, signpost in (
        ("SIGTERM in the steps", [signal.SIGTERM], "steps"),
        ("SIGTERM twice", [signal.SIGTERM] * 2, "steps"),
        ("Ctrl-C in the steps", [signal.SIGINT], "steps"),
        ("SIGTERM while it compiles", [signal.SIGTERM], "compilation"),
        ("SIGTERM in the report", [signal.SIGTERM], "the report"),
        ("Ctrl-C in the report", [signal.SIGINT], "the report"),
    ):
        run_dir = stage.folder / fault.replace(" ", "-")
        started, reached, run = start(run_dir), SIGNPOSTS[signpost][0], runs.Run(run_dir)
        wait_until(lambda reached=reached, run=run: reached(run), started)
        time.sleep(0.3)
        for number in numbers:
            started.send_signal(number)
        yield row(fault, run_dir, started, stage.expected)


@contextlib.contextmanager
def disk(folder, kilobytes):
    """Makes a folder a disk of its own; yields a function that gives it other options."""
    folder.mkdir(parents=True)

    def mount(options):
        words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
        made = subprocess.run(words, capture_output=True, text=True)
        if made.returncode:
            raise NoDisk(f"a tmpfs can't be mounted here: {made.stderr.strip()}")

    mount(f"size={kilobytes}k")
    try:
        yield lambda options: mount(f"remount,{options}")
    finally:
        subprocess.run(["umount", folder], check=True)


def filled(stage, kilobytes):
    """A run on a disk that is full after so many kilobytes; then there is more room."""
    folder = stage.folder / f"disk-{kilobytes}"
    with disk(folder, kilobytes) as remount:
        started, run_dir = start(folder / "run"), folder / "run"
        fault = f"the disk is full after {kilobytes} kB"
        return row(fault, run_dir, started, stage.expected, mend=lambda: remount("size=64m"))


def full_disk(stage):
    """In every kind of write: recipe, contract, TensorBoard, checkpoint, model, history, figures."""
    for kilobytes in (4, 8, 60, 160, 260, 360, 460, 560, 660):
        yield filled(stage, kilobytes)


def full_export(stage):
    """A finished run is exported to a disk that has not the room."""
    size = sum(-(-path.stat().st_size // 4096) * 4 for path in stage.whole.rglob("*") if path.is_file())
    for more in (0, 80):
        folder = stage.folder / f"export-{more}"
        with disk(folder, size + more) as remount:
            run_dir = shutil.copytree(stage.whole, folder / "run")
            words = [sys.executable, "-m", "export", str(run_dir), "--formats=float32,int8-ptq", "--tolerance=100"]
            status, said = ended(process(words))
            left = half_written(folder)
            remount("size=64m")
            again, last = ended(process(words))
            end = f"LEFT {', '.join(left)}" if left else f"status {again}: {last}" if again else SAME
            yield Row(f"export where {more} kB are left on the disk", status, said, end)


def read_only(stage):
    """A disk that nobody may write on, for a new run and for one that goes on."""
    for fault, prepare in (("a new", lambda stage, run_dir: None), ("an unfinished", unfinished)):
        folder = stage.folder / f"read-only-{fault.replace(' ', '-')}"
        with disk(folder, 2**16) as remount:
            prepare(stage, folder / "run")
            remount("ro")
            mend = lambda remount=remount: remount("rw")  # noqa: E731
            started = start(folder / "run")
            yield row(f"{fault} run on a read-only disk", folder / "run", started, stage.expected, mend=mend)


def flipped(path, part):
    """Flips a bit of a file, at a part of its length."""
    content = bytearray(path.read_bytes())
    content[int(part * len(content))] ^= 16
    path.write_bytes(content)


DAMAGES = {
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "empty": lambda path: os.truncate(path, 0),
    "removed": lambda path: path.unlink(),
    "a bit flipped at the begin": lambda path: flipped(path, 0),
    "a bit flipped in an array": lambda path: flipped(path, 0.5),
    "a bit flipped near the end": lambda path: flipped(path, 0.98),
}
LATEST, BOTH = ["checkpoints/latest.npz"], ["checkpoints/latest.npz", "checkpoints/previous.npz"]


def spoiled(stage, names, what, of_finished=False, remove=None):
    """One damage to files of a run; where it fails, they are restored from a copy, or `remove` is removed."""
    kind = "a finished" if of_finished else "an unfinished"
    fault = f"{' and '.join(pathlib.Path(name).name for name in names)} of {kind} run: {what}"
    run_dir = stage.folder / "-".join(fault.replace(":", "").split())
    shutil.copytree(stage.whole, run_dir) if of_finished else unfinished(stage, run_dir)
    good = {run_dir / name: (run_dir / name).read_bytes() for name in names}

    def mend():
        if remove:
            shutil.rmtree(run_dir / remove) if (run_dir / remove).is_dir() else (run_dir / remove).unlink()
        else:
            for path, content in good.items():
                path.write_bytes(content)

    for path in good:
        DAMAGES[what](path)
    return row(fault, run_dir, start(run_dir), stage.expected, mend=mend)


def spoiled_checkpoints(stage):
    for what in DAMAGES:
        yield spoiled(stage, LATEST, what)
    for what in ("truncated", "empty", "removed", "a bit flipped in an array"):
        yield spoiled(stage, BOTH, what, remove="checkpoints")


FILES = {  # what is restored from a copy where a damage is an error (None), or removed
    "model.keras": None,
    "history.csv": "history.csv",
    "report.json": "report.json",
    "recipe.json": None,
    "contract.json": None,
}


def spoiled_files(stage):
    for of_finished, (name, remove) in itertools.product((False, True), FILES.items()):
        if name != "report.json" or of_finished:
            for what in ("truncated", "empty", "removed"):
                yield spoiled(stage, [name], what, of_finished, remove if what != "removed" else None)


def two_processes(stage):
    run_dir = stage.folder / "two"
    both = [start(run_dir) for _ in range(2)]
    wait_until(lambda: both[1].poll() is not None, both[0])  # one of both ends at once
    late = both[0] if both[1].poll() is None else both[1]
    status, said = ended(late)
    first, _ = ended(both[1 - both.index(late)])
    end = after(run_dir, stage.expected) if first == 0 else f"the first ended with {first}"
    yield Row("two processes in one folder", status, said, end)


def vanished(stage):
    """What a run writes to is removed, or goes elsewhere, while it trains."""
    moved = stage.folder / "elsewhere"
    for fault, remove, mend in (
        ("the run's folder is removed", lambda path: shutil.rmtree(path, ignore_errors=True), None),
        ("the run's folder is moved", lambda path: path.rename(moved), moved),
        ("checkpoints/ is removed", lambda path: shutil.rmtree(path / "checkpoints", ignore_errors=True), None),
        ("model.keras is removed", lambda path: (path / "model.keras").unlink(), None),
    ):
        run_dir = stage.folder / fault.replace(" ", "-").replace("/", "")
        started = start(run_dir)
        wait_until(lambda run_dir=run_dir: rows_of(run_dir) > 0, started)
        remove(run_dir)
        back = (lambda mend=mend, run_dir=run_dir: mend.rename(run_dir)) if mend else lambda: None
        yield row(f"{fault} while it trains", run_dir, started, stage.expected, mend=back)


def vanished_picture(stage):
    """A picture of a folder is removed while it trains; then it is there again."""
    data, random_pixels = stage.folder / "photos", np.random.default_rng(0)
    for name in ("cat", "dog"):
        (data / name).mkdir(parents=True)
        for i in range(12):
            pixels = random_pixels.integers(0, 256, (80, 80, 3), np.uint8)
            Image.fromarray(pixels).save(data / name / f"{i}.jpg")
    flags = (f"--dataset={data}/", "--image_size=64", "--batch_size=4")
    if ended(start(stage.folder / "photos-whole", *flags))[0]:
        sys.exit(f"{data}: the undisturbed run failed")
    run_dir, aside = stage.folder / "photos-run", stage.folder / "aside"
    started = start(run_dir, *flags)
    wait_until(runs.Run(run_dir).recipe.exists, started)
    (data / "cat").rename(aside)
    expected = same_run.contents(stage.folder / "photos-whole")
    back = lambda: aside.rename(data / "cat")  # noqa: E731
    yield row("pictures are removed while it trains", run_dir, started, expected, *flags, mend=back)


CLOCK = """
import time
def backwards(real=time.time, calls=[0]):
    calls[0] += 1
    return real() - 60 * calls[0]
time.time = backwards
"""


def clock(stage):
    """Python's clock goes back a minute each time it is read; at the restart it is a day earlier than the files."""
    hook, run_dir = stage.folder / "clock", stage.folder / "clock-run"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(CLOCK)
    path = os.pathsep.join(filter(None, (str(hook), os.environ.get("PYTHONPATH"))))
    started = start(run_dir, PYTHONPATH=path)
    wait_until(lambda: rows_of(run_dir) > 0, started)
    started.terminate()
    status, said = ended(started)
    tomorrow = time.time() + 86_400
    for file in [file for file in run_dir.rglob("*") if file.is_file()]:
        os.utime(file, (tomorrow, tomorrow))
        if file.name.startswith(
            "events"
        ):  # TensorBoard reads them in the order of their names, which begin with a time
            parts = file.name.split(".")
            file.rename(file.with_name(".".join([*parts[:3], str(int(parts[3]) + 86_400), *parts[4:]])))
    second, words = ended(start(run_dir, PYTHONPATH=path))
    end = after(run_dir, stage.expected) if second == 0 else f"status {second}: {words}"
    yield Row("the clock goes backwards; SIGTERM, and it is a day earlier", status, said, end)


FAULTS = {
    "kills": kills,
    "signals": signals,
    "full_disk": full_disk,
    "full_export": full_export,
    "read_only": read_only,
    "spoiled_checkpoints": spoiled_checkpoints,
    "spoiled_files": spoiled_files,
    "two_processes": two_processes,
    "vanished": vanished,
    "vanished_picture": vanished_picture,
    "clock": clock,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"of {', '.join(FAULTS)}; all by default")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the kills' moments")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/faults"), help="a new folder")
    given = parser.parse_args()
    if unknown := set(given.faults) - set(FAULTS):
        parser.error(f"{', '.join(sorted(unknown))}: expected some of {', '.join(FAULTS)}")
    if given.out.exists():
        parser.error(f"--out={given.out}: it is there already; give a new folder, or remove it")
    environment.load_tensorflow()
    stage, rows = staged(given.out.resolve(), given.kills, given.seed), []
    for name in given.faults or FAULTS:
        try:
            for made in FAULTS[name](stage):
                rows.append(made)
                print(f"{name}: {made.fault}: {made.status}; {made.said!r}; {made.end}", flush=True)
        except NoDisk as error:
            print(f"{name}: LEFT OUT: {error}", file=sys.stderr)
    lines = [(made.fault, str(made.status), made.said, made.end) for made in rows]
    print("\n".join(markdown(("fault", "status", "last line", "the same command again"), lines)))
    wrong = [made.fault for made in rows if not made.is_well]
    print(f"{len(rows) - len(wrong)} of {len(rows)} end with the same bits")
    sys.exit(f"not so: {'; '.join(wrong)}" if wrong else 0)


if __name__ == "__main__":
    main()
