"""`keras-resnet check PHOTOS/`: what a folder holds, before any training. It needs no TensorFlow."""

import argparse
import collections
import concurrent.futures
import dataclasses
import hashlib
import io
import math
import os
import pathlib
import shlex
import sys

import numpy as np
import tqdm
from PIL import Image

from keras_resnet import layouts, programs, recipes
from keras_resnet.data import (
    check_places,
    check_rows,
    check_sounds,
    check_texts,
    class_folders,
    contact_sheets,
    labels_csv,
    splits,
)
from keras_resnet.device import command_line
from keras_resnet.device.picture import orientation, upright

# Of the 256 bits of `fingerprint`, those that near duplicates may differ in. Among 8 million pairs of different
# Imagenette pictures the nearest differ in 21. Copies at half the size differ in 18 or fewer (99 of 100), those at
# quality 30 or brighter by 30 % in 20 or fewer (9 of 10). Cut by 2 % at each side, half differ in 29: not found.
NEAR = 20
MOST_COMPARED = 30_000  # pictures; their pairs take half a minute
UNBALANCED = 5  # times as many pictures as the smallest class has
LEAST = 3  # pictures of a class that splits are drawn from
SMALL = 64  # pixels of the shorter side
CELL = 4  # pixels of a segmenter's cells
LEAST_SIDE = 32  # pixels, of the networks of boxes and masks
LONG = 640  # pixels of the longer side, from which on boxes and masks are learned slowly
MOST_LINES, MOST_ROWS = 10, 60
# What is looked at besides pictures -> (what they are, what tells of them).
OTHERS = {
    check_sounds.Recording: ("recordings", check_sounds),
    check_texts.Sentence: ("texts", check_texts),
    check_rows.Line: ("rows", check_rows),
}


@dataclasses.dataclass(frozen=True)
class Looked:
    """One picture file.

    Attributes:
        path: str.
        split: `train`, `validation` or `test`.
        labels: numbers of its class, or of its labels.
        size: (width, height) as it is shown; None where it can't be read.
        kind: format and mode, as `JPEG RGB`.
        turned: whether EXIF turns it.
        digest: of the file's bytes.
        bits: `fingerprint`.
        reason: why it can't be read, or nothing.
    """

    path: str
    split: str
    labels: tuple
    size: tuple | None = None
    kind: str = ""
    turned: bool = False
    digest: bytes = b""
    bits: np.ndarray | None = None
    reason: str = ""


def look(path, split="train", labels=(0,)):
    """Reads one picture file, whole. Returns `Looked`."""
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe would be waited for
        return Looked(path, split, labels, reason="no regular file, but a pipe or a device")
    try:
        content = pathlib.Path(path).read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            kind, way = f"{image.format} {image.mode}", orientation(image)
            size = image.size
            image.draft("RGB", (128, 128))
            bits = fingerprint(upright(image, 1))
        if way >= 5:
            size = size[::-1]
    except Image.UnidentifiedImageError:
        return Looked(path, split, labels, reason="no picture, whatever its name says" if content else "empty file")
    except Exception as error:  # of many kinds: the file system's, the decoder's
        return Looked(path, split, labels, reason=f"{type(error).__name__}: {error}".splitlines()[0])
    return Looked(path, split, labels, size, kind, way != 1, hashlib.sha256(content).digest(), bits)


def fingerprint(image):
    """Whether each of 16x16 parts of a picture is brighter than its right neighbour: four uint64.

    Copies in another size, brightness or quality have nearly the same (dHash, N. Krawetz 2013). None for a picture
    of nearly one colour, whose noise would decide. `image` is gray.
    """
    gray = np.asarray(image.resize((17, 16), Image.Resampling.BOX), np.int16)
    if gray.std() < 4:
        return None
    return np.packbits(gray[:, 1:] > gray[:, :-1]).view(np.uint64)


def look_at_all(entries):
    """`Looked` of (split, path, labels) each, by as many threads as there are cores, with a bar."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda entry: look(entry[1], entry[0], entry[2]), entries)
        bar = tqdm.tqdm(found, "check", len(entries), unit=" pictures", leave=False, disable=not sys.stderr.isatty())
        return list(bar)


def exact_duplicates(pictures):
    """Groups of pictures whose files are the same, byte by byte."""
    groups = collections.defaultdict(list)
    for picture in pictures:
        groups[picture.digest].append(picture)
    return [group for group in groups.values() if len(group) > 1]


def near_duplicates(pictures, seed=0):
    """Pairs of pictures whose fingerprints differ in at most `NEAR` bits, and whose files differ."""
    pictures = [p for p in pictures if p.bits is not None]
    if len(pictures) > MOST_COMPARED:
        chosen = np.random.default_rng(seed).choice(len(pictures), MOST_COMPARED, replace=False)
        pictures = [pictures[i] for i in sorted(chosen)]
    if len(pictures) < 2:
        return []
    bits, pairs = np.stack([p.bits for p in pictures]), []
    for i in range(len(bits) - 1):
        differing = np.bitwise_count(bits[i + 1 :] ^ bits[i]).sum(1, dtype=np.int64)
        near = (pictures[i + 1 + j] for j in np.flatnonzero(differing <= NEAR))
        pairs += [(pictures[i], other) for other in near if other.digest != pictures[i].digest]
    return pairs


def read(root):
    """(names, entries, strays) of a data set's folder: its labels, (split, path, their numbers) each, strays.

    Raises:
        ValueError: it is no folder of classes, and has no `labels.csv`.
    """
    several = labels_csv.read(root)
    if several:
        names, entries = several
        return names, [(split, path, tuple(np.flatnonzero(there))) for split, path, there in entries], []
    folders = class_folders.splits(root)
    names = class_folders.classes(folders)
    parents = sorted({root, *folders.values()})
    return (
        names,
        [(split, path, (label,)) for split, path, label in class_folders.entries(folders, names)],
        [str(parent / name) for parent in parents for name in class_folders.beside(parent)],
    )


def lines(root, names, looked, strays, places=None):
    """What a person reads: of counts, sizes, kinds, what can't be read, duplicates, unbalanced classes, what suits.

    Args:
        root: `pathlib.Path` of the folder.
        names: of its classes.
        looked: list of `Looked`.
        strays: paths of pictures in no class's folder.
        places: `check_places.Places`, where there are any.
    """
    good = [p for p in looked if not p.reason]
    what = places.what if places else "labels" if _several(root) else "classes"
    things, other = OTHERS.get(type(looked[0]) if looked else None, ("pictures", None))
    counts = list(_counts(names, good, what, things))
    yield from counts
    yield from places.told if places else ()
    if good:
        yield from other.told(good) if other else _sizes(good)
    bad = [f"{p.path}: {p.reason}" for p in looked if p.reason]
    if bad:
        yield from _listed(f"unreadable: {len(bad):,} of {len(looked):,}; training leaves out 1 in 100 at most", bad)
    if strays:
        yield from _listed(f"in no class's folder, left out: {len(strays):,}", strays)
    groups, pairs = exact_duplicates(good), near_duplicates(good)
    if len(good) > MOST_COMPARED:
        yield f"near duplicates are looked for among {MOST_COMPARED:,} pictures drawn at random"
    same = things[:-1] if things in ("texts", "rows") else "file"
    yield from _duplicates(f"the same {same}", groups, not places)
    yield from _duplicates("nearly the same picture", pairs, not places)
    yield "" if groups or pairs else "no duplicates"
    taught = [p for p in good if p.split == "train"]
    if not any(p.labels for p in taught):
        yield f"what suits: first {things} to learn from; none of train " + ("shows a class" if taught else "is here")
    elif places:
        size = _suiting_size(good, places.what == check_places.OF_PIXELS) + _smaller_batch(root, good, False)
        yield f"what suits:\n  keras-resnet train {_dataset(root)} --image_size={size}    # or a part of each side"
    elif any("training refuses" in line for line in counts):
        yield f"what suits: first more {things} of the classes above, or their folders taken away"
    else:
        if unbalanced := _unbalanced(root, names, good):
            yield unbalanced
        yield "what suits:"
        part = math.ceil(100 * len(bad) / max(1, len(looked))) / 100
        more = f" --max_bad_fraction={part}" * (part > 0.01) + _smaller_batch(root, good, not _several(root))
        suiting = other.commands(_dataset(root) + more, good) if other else commands(root, names, good, more)
        yield from (f"  {command}" for command in suiting)


def _suiting_size(good, of_pixels):
    """The `--image_size` that suits boxes, or masks: of the median picture, or smaller."""
    sides = np.median([p.size for p in good], 0)[::-1]
    sides = np.maximum(LEAST_SIDE, np.round(sides * min(1, LONG / max(sides)))).astype(int)
    if of_pixels:  # the last cell lies on the last pixel
        sides = [CELL * round((side - 1) / CELL) + 1 for side in sides]
    return "x".join(map(str, sides))


def _smaller_batch(root, good, by_class):
    """The flags that training asks for where what is left to learn from does not fill its usual batch.

    Splits that are missing are drawn before, `by_class` or not.
    """
    labels = [p.labels[0] if by_class else 0 for p in good if p.split == "train"]
    counts = np.bincount(labels)
    for _ in {"validation", "test"} - {p.split for p in good}:
        counts = counts - (splits.quotas(counts, 0.1) if by_class else max(1, len(labels) // 10))
    count = max(1, int(counts.sum()))
    usual = recipes.default_recipe(f"{root}/")
    recipe = recipes.RECIPES["finetune" if usual == "imagenet" else usual]
    return f" {recipes.smaller_batch(recipe, count)}" * (count < recipe.batch_size)


def _counts(names, good, what, things):
    splits = [s for s in ("train", "validation", "test") if any(p.split == s for p in good)] or ["train"]
    count = collections.Counter((label, p.split) for p in good for label in p.labels)
    width = max(map(len, names), default=5)
    largest = max([count[i, splits[0]] for i in range(len(names))] or [1]) or 1
    yield f"{len(good):,} {things}, {len(names)} {what}"
    yield f"  {'label' if what == 'labels' else 'class':{width}}" + "".join(f"{split:>12}" for split in splits)
    for i, name in enumerate(names[:MOST_ROWS]):
        bar = "█" * round(20 * count[i, splits[0]] / largest)
        yield f"  {name:{width}}" + "".join(f"{count[i, split]:>12,}" for split in splits) + f"  {bar}"
    if len(names) > MOST_ROWS:
        yield f"  … and {len(names) - MOST_ROWS:,} more"
    for split in splits if what in ("classes", "labels") else ():
        empty = [name for i, name in enumerate(names) if not count[i, split]]
        if empty:
            yield f"no readable {things[:-1]} of {_some(empty)} in {split}: training refuses"
    least = LEAST + 1 - len(splits)  # one for each split that is drawn from them
    few = what == "classes" and [name for i, name in enumerate(names) if 0 < count[i, "train"] < least]
    if few and all(len(p.labels) == 1 for p in good):
        yield f"too few of {_some(few)} to draw the missing splits from: training refuses less than {least}"


def _some(names):
    return ", ".join(names[:MOST_LINES]) + f" and {len(names) - MOST_LINES:,} more" * (len(names) > MOST_LINES)


def _sizes(good):
    sides = np.array([p.size for p in good])
    shorter = np.sort(sides.min(1))
    yield (
        f"sizes: {_size(sides[sides.prod(1).argmin()])} to {_size(sides[sides.prod(1).argmax()])}; the shorter side is "
        f"{np.median(shorter):.0f} pixels in the median"
    )
    if shorter[0] < SMALL <= shorter[-1]:
        yield f"smaller than {SMALL} pixels: {np.sum(shorter < SMALL):,}; enlarged, they show little"
    kinds = collections.Counter(p.kind for p in good).most_common()
    yield "kinds: " + ", ".join(f"{kind} {n:,}" for kind, n in kinds)
    turned = sum(p.turned for p in good)
    if turned:
        yield f"turned by EXIF: {turned:,}; training and every reader here turn them upright"


def _size(sides):
    return "x".join(map(str, sides))


def _listed(title, paths):
    yield f"{title}"
    yield from (f"  {path if path.isprintable() else repr(path)[1:-1]}" for path in paths[:MOST_LINES])
    if len(paths) > MOST_LINES:
        yield f"  … and {len(paths) - MOST_LINES:,} more"


def _duplicates(what, groups, one_class):
    """Those across splits first, for they make figures too good, then those across classes, then the rest."""
    if not groups:
        return
    across_splits = [g for g in groups if len({p.split for p in g}) > 1]
    across_classes = [g for g in groups if one_class and len({p.labels for p in g}) > 1]
    title = f"{what}: {len(groups):,} times"
    title += f", across splits {len(across_splits):,} (figures would be too good)" * bool(across_splits)
    title += f", across classes {len(across_classes):,} (one label is wrong)" * bool(across_classes)
    worst = sorted(groups, key=lambda g: (-len({p.split for p in g}), -len({p.labels for p in g})))
    yield from _listed(title, [" = ".join(p.path for p in group) for group in worst])


def _several(root):
    return (root / labels_csv.NAME).is_file()


def _unbalanced(root, names, good):
    """A line where the largest class has at least `UNBALANCED` times as many training pictures as the smallest.

    Of several labels a picture there is none: a training that draws all alike is refused there.
    """
    counts = np.bincount([i for p in good if p.split == "train" for i in p.labels], minlength=len(names))
    if _several(root) or not 0 < counts.min() * UNBALANCED <= counts.max():
        return ""
    times = f"{counts.max() / counts.min():.0f} times {names[counts.argmin()]}'s training pictures"
    return f"unbalanced: {names[counts.argmax()]} has {times}; --sampling=balanced draws all classes alike"


def commands(root, names, good, more=""):
    """The commands that suit what was found, with the flags `more`, as a person would type them."""
    small = bool(good) and np.median([min(p.size) for p in good]) < SMALL
    init = "cifar10-jpeg-resnet20" if small else "keras:resnet50"
    best = " --best=balanced_accuracy" if _unbalanced(root, names, good) else ""
    data = _dataset(root) + more
    tuned = f"keras-resnet train --init={init} {data}{best}"
    yield f"{tuned} --recipe=probe    # minutes: what the features know already"
    yield f"{tuned}    # all of it learns"
    if sum(p.split == "train" for p in good) >= 20_000:
        yield f"keras-resnet train {data} --depth=18{best}    # so many pictures can do without other weights"


def _dataset(root):
    return f"--dataset={shlex.quote(f'{root}/')}"


def main(arguments, program):
    parser = argparse.ArgumentParser(program, description="What a folder holds, before any training.")
    parser.add_argument(
        "folder", type=pathlib.Path, help="of pictures or recordings by class, boxes, masks, texts or rows"
    )
    parser.add_argument(
        "--sheets", type=pathlib.Path, help="where a contact sheet of each class goes (runs/NAME-check)"
    )
    given = parser.parse_args(arguments)
    Image.MAX_IMAGE_PIXELS = None
    try:
        if not given.folder.is_dir():
            found = "a file" if given.folder.exists() else "no such folder"
            raise ValueError(f"{given.folder}: {found}; give the folder that holds a folder per class")
        if places := check_places.look_for(given.folder):
            names, looked, strays = places.names, look_at_all(places.entries), []
        elif layouts.texts(given.folder):
            names, looked, strays = check_texts.look_for(given.folder)
        elif layouts.rows(given.folder):
            names, looked, strays = check_rows.look_for(given.folder)
        elif layouts.sounds(given.folder):
            names, looked, strays = check_sounds.look_for(given.folder)
        else:
            names, entries, strays = read(given.folder)
            looked = look_at_all(entries)
        unseen = looked and isinstance(looked[0], check_texts.Sentence | check_rows.Line)
        drawn = places.drawn if places else check_sounds.drawn if layouts.sounds(given.folder) else None
        sheets = given.sheets or pathlib.Path("runs") / f"{given.folder.resolve().name}-check"
        if not unseen and sheets.resolve().is_relative_to(given.folder.resolve()):
            raise ValueError(f"--sheets={sheets}: sheets there would be pictures of the data; give a folder elsewhere")
        if not unseen:
            contact_sheets.write(sheets, names, [p for p in looked if not p.reason], drawn)
    except (ValueError, OSError) as error:
        command_line.fail(parser, programs.sentence(error))
    for line in lines(given.folder, names, looked, strays, places):
        print(line)
    if not unseen:
        most = contact_sheets.MOST
        print(f"contact sheets: {sheets}/" + f" (the first {most} classes)" * (len(names) > most))
