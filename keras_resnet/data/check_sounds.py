"""`keras-resnet check` of folders of recordings: their rates, how long and how loud they are, and what suits."""

import collections
import dataclasses
import functools
import hashlib
import pathlib

import numpy as np

from keras_resnet.data import DataError, class_folders, recordings
from keras_resnet.device import drawing, sound_files
from keras_resnet.device.sound import Sound

QUIET = 1e-3  # of full scale: what is nowhere louder is silence


@dataclasses.dataclass(frozen=True)
class Recording:
    """One file; as `check.Looked`, with its `rate`, its length in `seconds` and its `loudest` sample."""

    path: str
    split: str
    labels: tuple
    rate: int = 0
    seconds: float = 0.0
    loudest: float = 0.0
    digest: bytes = b""
    reason: str = ""
    bits: None = None


def look_for(root):
    """(names of the classes, `Recording`s, strays) of a folder, a `pathlib.Path`; see `check.read`."""
    folders = class_folders.splits(root)
    names = class_folders.classes(folders)
    found = [_look(path, split, (label,)) for split, path, label in class_folders.entries(folders, names)]
    parents = sorted({root, *folders.values()})
    return names, found, [str(parent / name) for parent in parents for name in class_folders.beside(parent)]


def _look(path, split, labels):
    try:
        samples, rate = recordings.read(path)
    except (DataError, sound_files.SoundError) as error:
        return Recording(path, split, labels, reason=str(error).removeprefix(f"{path}: "))
    loudest = float(np.abs(samples).max(initial=0))
    digest = hashlib.sha256(pathlib.Path(path).read_bytes()).digest()
    return Recording(path, split, labels, rate, len(samples) / rate, loudest, digest)


def told(good):
    """Lines on readable `Recording`s."""
    rates = collections.Counter(one.rate for one in good).most_common()
    yield "samples a second: " + ", ".join(f"{rate:,} {count:,}" for rate, count in rates)
    if len(rates) > 1:
        yield f"training resamples to {rates[0][0]:,} (--sample_rate says otherwise); devices refuse other rates"
    lengths = np.array([one.seconds for one in good])
    yield (
        f"seconds: {lengths.min():.2f} to {lengths.max():.2f}, {np.median(lengths):.2f} in the median; longer than 1: "
        f"{np.sum(lengths > 1):,}, of which training hears the middle (--seconds)"
    )
    if empty := [one.path for one in good if not one.seconds]:
        yield f"empty: {len(empty):,}, as {empty[0]}"
    if silent := [one.path for one in good if one.seconds and one.loudest < QUIET]:
        yield f"silent: {len(silent):,}, as {silent[0]}"
    if clipped := [one.path for one in good if one.loudest >= 0.999]:
        yield f"as loud as can be, perhaps clipped: {len(clipped):,}, as {clipped[0]}"


def commands(data, good):
    """The commands that suit what was found."""
    seconds = [one.seconds for one in good]
    heard = min(10.0, max(0.25, np.ceil(4 * float(np.percentile(seconds, 95))) / 4)) if good else 1.0
    flag = "" if heard == 1 else f" --seconds={heard:g}"
    yield f"keras-resnet train {data}{flag}"
    yield "with --group_by='REGEX' where paths name speakers: one who is in two splits makes figures too good"


@functools.cache
def _sound(rate):
    return Sound.of(rate, 1.0, 40)


def drawn(path):
    """A recording's log-mel picture, `PIL.Image.Image`; see `drawing.heard`."""
    samples, rate = recordings.read(path)
    return drawing.heard(_sound(rate).pixels(samples)).convert("RGB")
