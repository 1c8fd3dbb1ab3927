"""What is known of a folder's pictures, by the files beside them: boxes, masks, or neither."""

import pathlib

# What a task learns, as an output of the contract calls it.
KINDS = {"classification": ("classes", "labels"), "detection": ("boxes",), "segmentation": ("mask",)}
EXPECTED = {
    "detection": "Annotations/ and JPEGImages/ (VOC), annotations/instances_train.json (COCO) or data.yaml (YOLO)",
    "segmentation": "train/ and trainannot/, images/ and masks/, or JPEGImages/ and SegmentationClass/",
}
ANNOTATED = "annot"  # what CamVid's folders of label maps end with


def boxes(folder):
    """The form of a folder's boxes, `voc`, `coco` or `yolo`; None where it has none."""
    root = pathlib.Path(folder).expanduser()
    if (root / "Annotations").is_dir() and (root / "JPEGImages").is_dir():
        return "voc"
    if any(path for form in ("annotations/instances_*.json", "*/_annotations*.json") for path in root.glob(form)):
        return "coco"
    return "yolo" if (root / "data.yaml").is_file() else None


def masks(folder):
    """The form of a folder's label maps, `voc`, `camvid` or `images`; None where it has none."""
    root = pathlib.Path(folder).expanduser()
    if (root / "SegmentationClass").is_dir() and (root / "JPEGImages").is_dir():
        return "voc"
    if any((root / path.name.removesuffix(ANNOTATED)).is_dir() for path in root.glob(f"?*{ANNOTATED}")):
        return "camvid"
    return "images" if (root / "images").is_dir() and (root / "masks").is_dir() else None
