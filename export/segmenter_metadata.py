"""What standard metadata says of a segmenter's output, so that MediaPipe's `ImageSegmenter` draws the masks that we do.

It brings the scores to the picture's size as the contract's `Mask` does. `SEGMENTER_METADATA`
(image_segmenter_metadata_schema.fbs, V001) says what makes probabilities of them. Slots are the schema's, in its order.
"""

import flatbuffers

from .flatbuffer import aligned_bytes, offsets, root_bytes, table, text

NAME = "SEGMENTER_METADATA"
IMAGE_PROPERTIES, GRAYSCALE, SOFTMAX = 2, 2, 2  # numbers of the schema's unions and enumerations


def tensors(b, contract, labels):
    """Name of an output -> its metadata; `labels` is the offset of the file's with the names."""
    del contract
    about = text(b, "a logit for each cell and class; to the picture's size bilinearly, corners onto corners")
    properties = table(b, 2, {}, {0: GRAYSCALE})
    places = table(b, 2, {}, {}, {0: 1, 1: 2})  # of the output's dimensions
    content = table(b, 3, {1: properties, 2: places}, {0: IMAGE_PROPERTIES})
    return {"scores": table(b, 7, {0: text(b, "scores"), 1: about, 3: content, 6: offsets(b, [labels])})}


def custom(b, contract):
    """The custom metadata."""
    del contract
    inner = flatbuffers.Builder(64)
    data = root_bytes(inner, table(inner, 2, {}, {0: SOFTMAX}), b"V001")
    return table(b, 2, {0: text(b, NAME), 1: aligned_bytes(b, data)})
