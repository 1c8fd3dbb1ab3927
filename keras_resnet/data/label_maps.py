"""Folders of pictures and label maps: a gray or palette PNG for each picture, whose pixels are the classes' numbers.

Three layouts: CamVid's (`train/` and `trainannot/`), Pascal VOC's (`JPEGImages/`, `SegmentationClass/`,
`ImageSets/Segmentation/`) and `images/train/`, `masks/train/`. The classes' names are in `classes.json` (a list) or
`classes.txt` (one a line); a name that says ignore, void or unlabelled is no class. 255 is none either.
"""

import json
import pathlib
import re

import numpy as np
from PIL import Image

from keras_resnet import layouts
from keras_resnet.data import DataError, boxes
from keras_resnet.data.class_folders import pictures, split_named
from keras_resnet.device.mask import NO_CLASS

IGNORED = re.compile(r"(?<![a-z])(ignored?|void|unlabell?ed)(?![a-z])", re.IGNORECASE)
UNKNOWN = 254
WIDENED = {"L;2": 85, "L;4": 17}  # by what Pillow multiplies gray pixels of 2 and 4 bits
VOC = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


def pairs(root):
    """Split -> list of (picture, label map), paths, of a folder, a `pathlib.Path`; empty where it has none.

    Raises:
        DataError: a picture has no label map.
    """
    if layouts.masks(root) == "voc":
        return _voc(root)
    folders = {}
    for shown, maps in _folders(root):
        split = split_named(shown.name)
        if _both(shown, maps) and split in folders:
            raise DataError(f"{folders[split][0]}, {shown}: both are of {split} pictures; put them into one folder")
        if _both(shown, maps):
            folders[split] = shown, maps
    if layouts.masks(root) == "images" and not folders:
        folders = {"train": (root / "images", root / "masks")}
    return {split: _matched(*both) for split, both in folders.items()}


def _folders(root):
    """(pictures, label maps), a folder each, of every split that has one of them."""
    form = layouts.masks(root)
    if form == "images":
        names = {path.name for kind in ("images", "masks") for path in (root / kind).iterdir()}
        both = [(root / "images" / name, root / "masks" / name) for name in sorted(names)]
    else:
        names = {path.name.removesuffix(layouts.ANNOTATED) for path in root.iterdir()} if form == "camvid" else ()
        both = [(root / name, root / f"{name}{layouts.ANNOTATED}") for name in sorted(names)]
    return [(shown, maps) for shown, maps in both if shown != root and split_named(shown.name)]


def _both(shown, maps):
    return shown.is_dir() and maps.is_dir()


def alone(root, found):
    """Lines on a folder's splits and label maps that are in none of its `pairs`, for their other half is missing."""
    for shown, maps in _folders(root):
        if not _both(shown, maps) and (shown.is_dir() or maps.is_dir()):
            there, lacking = (shown, maps) if shown.is_dir() else (maps, shown)
            yield f"left out: {there}, for there is no {lacking}"
        elif _both(shown, maps):
            used = {mask for _, mask in found[split_named(shown.name)]}
            if lost := [path for path in pictures(maps) if path.lower().endswith(".png") and path not in used]:
                yield f"left out: {len(lost):,} label map{'s' * (len(lost) > 1)} without a picture, as {lost[0]}"


def _matched(shown, annotated):
    found = []
    for path in pictures(shown):
        place = annotated / pathlib.Path(path).relative_to(shown)
        masks = [mask for suffix in (".png", ".PNG") if (mask := place.with_suffix(suffix)).is_file()]
        if not masks and place.with_suffix(".jpg").is_file():
            raise DataError(f"{place.with_suffix('.jpg')}: a JPEG, whose pixels are no exact numbers; give a PNG")
        if not masks:
            raise DataError(f"{path}: it has no label map, expected {place.with_suffix('.png')}")
        found.append((path, str(masks[0])))
    return found


def _voc(root):
    shown = {pathlib.Path(path).stem: path for path in pictures(root / "JPEGImages")}
    found = {}
    for split, file in boxes.voc_lists(root / "ImageSets" / "Segmentation").items():
        masks = {stem: root / "SegmentationClass" / f"{stem}.png" for stem in boxes.lines(file)}
        if lost := [stem for stem, mask in masks.items() if stem not in shown or not mask.is_file()]:
            raise DataError(f"{root}: {lost[0]} lacks its picture or its label map; {file} lists it")
        found[split] = [(shown[stem], str(mask)) for stem, mask in masks.items()]
    return found


def read_names(root):
    """Names of the numbers in a folder's label maps, those that are ignored among them.

    Raises:
        DataError: there are none, or they can't be read.
    """
    for file in (root / "classes.json", root / "classes.txt"):
        if not file.is_file():
            continue
        try:
            text = file.read_text(encoding="utf-8-sig")
            names = json.loads(text) if file.suffix == ".json" else text.split("\n")
        except (ValueError, RecursionError) as error:
            raise DataError(f"{file}: {error}; expected a list of names") from error
        listed = isinstance(names, list) and all(isinstance(name, str) for name in names)
        names = [name.strip() for name in names] if listed else names
        while listed and names and not names[-1]:
            names.pop()
        if not listed or not names or not all(names) or len({*names}) < len(names) or len(names) > NO_CLASS:
            raise DataError(f"{file}: expected a list of at most {NO_CLASS} names, each once, got {str(names)[:80]}")
        return names
    if layouts.masks(root) == "voc":
        return list(VOC)
    raise DataError(f"{root}: nothing names the classes; write classes.txt, a name a line, that of number 0 first")


def classes(names):
    """Of names, those that are classes."""
    return tuple(name for name in names if not IGNORED.search(name))


def all_or_nothing(labels, pixels):
    """What is wrong where label maps have 255 for the only class beside another, as programs of two colours write them.

    Args:
        labels: of the classes.
        pixels: of each number, 255 among them.
    """
    there = [label for label, count in zip(labels, pixels, strict=False) if count]
    if len(labels) < 2 or len(there) != 1 or not pixels[NO_CLASS]:
        return ""
    lacking = labels[0] if there[0] == labels[1] else labels[1]
    said = f"its label maps have {there[0]} alone, and 255, which is no class"
    return f"{said}; write {lacking}'s number, which is its line in the list of classes, counted from 0"


def numbers(names):
    """uint8 (256,): the class of each number, counted without those that are ignored; 255 for these, 254 for others."""
    table = np.full(256, UNKNOWN, np.uint8)
    kept = [i for i, name in enumerate(names) if not IGNORED.search(name)]
    table[: len(names)] = NO_CLASS
    table[kept] = np.arange(len(kept))
    table[255] = NO_CLASS
    return table


def placed(classes, picture):
    """A label map where the picture lies in the network's input: uint8 (height, width), the nearest pixel's class."""
    height, width = picture.resized(*classes.shape)
    if (height, width) != classes.shape:
        classes = np.asarray(Image.fromarray(classes).resize((width, height), Image.Resampling.NEAREST))
    top, left = (height - picture.height) // 2, (width - picture.width) // 2
    return classes[top : top + picture.height, left : left + picture.width]


def read(path, mask, numbers):
    """A label map's classes, uint8 (height, width), 255 where there is none.

    Raises:
        DataError: it is of another size than its picture, no map of numbers, or has one without a name.
    """
    try:
        with Image.open(mask) as image:
            stored = image.tile[0][3] if image.tile else ""  # it is gone once the pixels are there
            kind, size, values = image.mode, image.size, np.asarray(image) // WIDENED.get(stored, 1)
            if kind.startswith("I") and values.max(initial=0) <= NO_CLASS:
                kind = "L"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{mask}: no picture ({error}); expected a PNG whose pixels are classes' numbers") from error
    if kind not in ("L", "P", "1"):
        raise DataError(f"{mask}: its pixels are {kind}; expected a gray or palette PNG of numbers below 256")
    if size != boxes.upright_size(path):
        width, height = boxes.upright_size(path)
        raise DataError(f"{mask}: it is {size[0]}x{size[1]}, its picture {path} is {width}x{height}")
    return known(values.astype(np.uint8), numbers, mask)


def known(values, numbers, where):
    """The classes of a label map's values, both uint8 (height, width); see `numbers`.

    Raises:
        DataError: a value has no name. It says `where`.
    """
    classes = numbers[values]
    if (classes == UNKNOWN).any():
        odd = values[classes == UNKNOWN].ravel()[0]
        raise DataError(f"{where}: a pixel is {odd}, which nothing names; add its name to the list of classes")
    return classes
