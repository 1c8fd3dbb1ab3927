"""Which of the forms of boxes a folder has. It needs no TensorFlow."""

from keras_resnet.data import coco_json, voc, yolo_txt


def reader(root):
    """The module that reads a folder's boxes, a `pathlib.Path`'s; None where it has none."""
    if voc.is_there(root):
        return voc
    if coco_json.files(root):
        return coco_json
    return yolo_txt if yolo_txt.is_there(root) else None
