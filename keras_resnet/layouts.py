"""What a folder holds, by its files' names: pictures with boxes, masks or none, recordings, tables of texts or rows."""

import csv
import itertools
import pathlib

# What a task learns, as an output of the contract calls it.
KINDS = {"classification": ("classes", "labels"), "detection": ("boxes",), "segmentation": ("mask",)}
EXPECTED = {
    "detection": "Annotations/ and JPEGImages/ (VOC), annotations/instances_train.json (COCO) or data.yaml (YOLO)",
    "segmentation": "train/ and trainannot/, images/ and masks/, or JPEGImages/ and SegmentationClass/",
}
PICTURES = (  # `device.picture_files.SUFFIXES`, without Pillow
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif"),
    *(".webp", ".avif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
)
SOUNDS = (".wav", ".wave", ".flac", ".ogg", ".mp3")
TABLES = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}
# What a header calls the label, and what the text that it is of.
LABEL, TEXT = ("label", "class", "category", "target", "sentiment"), ("text", "sentence", "review", "content")
ANNOTATED = "annot"  # what CamVid's folders of label maps end with


def boxes(folder):
    """The form of a folder's boxes, `voc`, `coco` or `yolo`; None where it has none."""
    root = pathlib.Path(folder).expanduser()
    if (root / "Annotations").is_dir() and (root / "JPEGImages").is_dir():
        return "voc"
    if coco_files(root):
        return "coco"
    return "yolo" if (root / "data.yaml").is_file() else None


def coco_files(root):
    """The JSON files of a folder's splits in COCO's form, sorted."""
    return sorted([*root.glob("annotations/instances_*.json"), *root.glob("*/_annotations*.json")])


def sounds(folder):
    """Whether the first of a folder's folders that has pictures or recordings has more recordings."""
    root = pathlib.Path(folder).expanduser()
    for inside in ("*/", "*/*/"):
        for parent in sorted(root.glob(inside)):
            kinds = [path.suffix.lower() for path in parent.glob("*.*") if not path.name.startswith(".")]
            heard, seen = (sum(kind in of for kind in kinds) for of in (SOUNDS, PICTURES))
            if heard or seen:
                return heard > seen
    return False


def texts(folder):
    """Split -> table of a folder's texts; empty where it has none."""
    return _tables(folder, False)


def rows(folder):
    """Split -> table of a folder's rows, CSV with a header that names a label and columns; empty where it has none."""
    return _tables(folder, True)


def _has_columns(path):
    """Whether a table is CSV whose header names a label and other columns, none of them a text.

    One other column alone must begin with a number: what looks like a header may be the first of texts.
    """
    from keras_resnet.device.csv_files import delimiter, number

    if path.suffix.lower() != ".csv":
        return False
    try:
        with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
            by = delimiter(file.readline())
            file.seek(0)
            header, first = [*itertools.islice(csv.reader(file, delimiter=by), 2), [], []][:2]
    except (OSError, csv.Error):
        return False
    names = [name.strip().lower() for name in header]
    if not {*names} & {*LABEL} or {*names} & {*TEXT} or len(names) < 2:
        return False
    others = [cell.strip() for name, cell in zip(names, first, strict=False) if name not in LABEL]
    return len(names) > 2 or any(number(cell) is not None for cell in others)


def _tables(folder, columns):
    """Split -> table of a folder; empty where it has none, or of the other form, with `columns` or not.

    A table that stands beside pictures or recordings is about them, not of texts or rows.
    """
    root, found = pathlib.Path(folder).expanduser(), {}
    for split, names in TABLES.items():
        paths = (root / f"{name}{suffix}" for name in names for suffix in (".tsv", ".csv"))
        if path := next((path for path in paths if path.is_file()), None):
            found[split] = path
    if "train" not in found or (root / "train").is_dir() or sounds(folder):
        return {}
    beside = any(path.suffix.lower() in PICTURES for path in root.glob("*/*.*"))
    return {} if beside or _has_columns(found["train"]) != columns else found


def masks(folder):
    """The form of a folder's label maps, `voc`, `camvid` or `images`; None where it has none."""
    root = pathlib.Path(folder).expanduser()
    if (root / "SegmentationClass").is_dir() and (root / "JPEGImages").is_dir():
        return "voc"
    if any((root / path.name.removesuffix(ANNOTATED)).is_dir() for path in root.glob(f"?*{ANNOTATED}")):
        return "camvid"
    return "images" if (root / "images").is_dir() and (root / "masks").is_dir() else None
