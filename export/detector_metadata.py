"""What standard metadata says of a detector's outputs, so that MediaPipe's `ObjectDetector` decodes them as we do.

Its decoder knows one form (`DETECTOR_METADATA`, object_detector_metadata_schema.fbs, V001): a fixed anchor for each
cell, in parts of the picture, `y = raw * anchor height + anchor y`, `height = exp(raw) * anchor height`. Slots are the
schema's, in its order.
"""

import flatbuffers

from .flatbuffer import aligned_bytes, integers, offsets, root_bytes, table, text

NAME = "DETECTOR_METADATA"
BOX_PROPERTIES, BOUNDARIES, RATIO = 3, 1, 0  # numbers of the schema's unions and enumerations


def tensors(b, contract, labels):
    """Name of an output -> its metadata; `labels` is the offset of the file's with the names."""
    del contract
    properties = table(b, 3, {0: integers(b, range(4))}, {1: BOUNDARIES, 2: RATIO})
    content = table(b, 3, {1: properties}, {0: BOX_PROPERTIES})
    about = text(b, "dy, dx, log h, log w of each cell's box, in strides from the cell's centre")
    made = {"location": table(b, 7, {0: text(b, "location"), 1: about, 3: content})}
    about = text(b, "a logit for each cell and class; sigmoid gives probabilities")
    return made | {"score": table(b, 7, {0: text(b, "score"), 1: about, 6: offsets(b, [labels])})}


def custom(b, contract):
    """The custom metadata: anchors, and how tensors become boxes."""
    data = options(contract)
    return table(b, 2, {0: text(b, NAME), 1: aligned_bytes(b, data)})


def options(contract):
    """`ObjectDetectorOptions` as a flatbuffer."""
    b, (height, width, _) = flatbuffers.Builder(1 << 16), contract.shape
    anchors = [
        table(b, 4, {}, numbers=dict(enumerate((x / width, y / height, side / width, side / height))))
        for y, x, side in contract.output.anchors.astype(float)
    ]
    schema = table(b, 1, {0: offsets(b, anchors)})
    counts = {0: len(contract.labels), 1: len(anchors), 2: 4, 3: 4, 5: 2}  # without two values a keypoint it aborts
    ones = dict.fromkeys(range(6, 10), 1.0)  # what raw numbers are divided by
    decoding = table(b, 12, {}, {10: 1, 11: 1}, counts, ones)  # sides are exponentials, scores are logits
    root = table(b, 3, {1: table(b, 1, {0: schema}), 2: decoding})
    return root_bytes(b, root, b"V001")
