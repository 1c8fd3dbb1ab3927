"""Pascal VOC's folders: `Annotations/NAME.xml`, `JPEGImages/NAME.jpg`, `ImageSets/Main/SPLIT.txt`.

Everingham et al. 2010, http://host.robots.ox.ac.uk/pascal/VOC/. Coordinates stay as they stand: VOC's own begin at
1, most people's at 0, and no file says which.
"""

import pathlib
import xml.etree.ElementTree as ET

from keras_resnet.data import DataError
from keras_resnet.data.boxes import Raw, lines, voc_lists
from keras_resnet.data.class_folders import SUFFIXES

SIDES = ("ymin", "xmin", "ymax", "xmax")


def read(root):
    """The pictures of a folder.

    Returns:
        (class names, sorted; split -> list of `Raw`, in the lists' order); without lists all are of `train`.

    Raises:
        DataError: a list names what is not there, or a file can't be understood.
    """
    paths = [path for path in sorted((root / "JPEGImages").iterdir()) if path.suffix.lower() in SUFFIXES]
    names = {path.stem: path for path in paths}
    if twice := [path for path in paths if names[path.stem] != path]:
        raise DataError(f"{twice[0]}: {names[twice[0].stem].name} has the same annotation; take one of them away")
    lists = voc_lists(root / "ImageSets" / "Main")
    chosen = {split: _stems(path, names) for split, path in lists.items()} or {"train": list(names)}
    splits = {split: [_picture(root, names, stem, lists.get(split)) for stem in of] for split, of in chosen.items()}
    classes = sorted({name for raws in splits.values() for raw in raws for name, *_ in raw.objects})
    return tuple(classes), splits


def _stems(path, names):
    """The names in a list, one a line; behind a space some lists have a number, some names have their suffix."""
    rows = [(line, line.split()[0], pathlib.PurePath(line).stem) for line in lines(path)]
    return [next((stem for stem in row if stem in names), row[1]) for row in rows]


def _picture(root, names, stem, said_by):
    if stem not in names:
        raise DataError(f"{root / 'JPEGImages'}: no picture {stem}; {said_by} lists it")
    path = root / "Annotations" / f"{stem}.xml"
    try:
        tree = ET.parse(path).getroot()
        size = tree.find("size")
        size = size is not None and tuple(int(size.findtext(side)) for side in ("width", "height"))
        if tree.tag != "annotation":
            raise ValueError(f"it begins with <{tree.tag}>, expected <annotation>")
        return Raw(
            str(names[stem]), size if size and all(size) else None, [_object(one) for one in tree.findall("object")]
        )
    except FileNotFoundError as error:
        raise DataError(f"{names[stem]}: it has no {path}; one without an object says that nothing is there") from error
    except (ET.ParseError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: no annotation of Pascal VOC's ({error})") from error


def _object(element):
    box = element.find("bndbox")
    sides = tuple(float(box.findtext(side)) for side in SIDES)
    name = " ".join(element.findtext("name").split())
    if not name:
        raise ValueError("an object without a name")
    return name, sides, element.findtext("difficult", "0").strip() == "1"
