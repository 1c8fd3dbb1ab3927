"""Who reads a folder's boxes. It needs no TensorFlow."""

from keras_resnet import layouts
from keras_resnet.data import coco_json, voc, yolo_txt

READERS = {"voc": voc, "coco": coco_json, "yolo": yolo_txt}


def reader(root):
    """The module that reads a folder's boxes, a `pathlib.Path`'s; None where it has none."""
    return READERS.get(layouts.boxes(root))
