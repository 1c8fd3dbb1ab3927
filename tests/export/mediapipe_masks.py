"""What MediaPipe's ImageSegmenter draws: `python mediapipe_masks.py PICTURES OUT.npz MODEL.tflite…`.

For the Python of an environment that has mediapipe and nothing of this project. Writes a category mask, uint8 (height,
width), for each model and picture of the folder, by number of the model and file name.
"""

import pathlib
import sys

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions
from mediapipe.tasks.python.vision import ImageSegmenter, ImageSegmenterOptions


def masks(path, pictures):
    options = ImageSegmenterOptions(
        base_options=BaseOptions(model_asset_path=path), output_confidence_masks=False, output_category_mask=True
    )
    with ImageSegmenter.create_from_options(options) as segmenter:
        for picture in pictures:
            result = segmenter.segment(mediapipe.Image.create_from_file(str(picture)))
            yield np.squeeze(result.category_mask.numpy_view().copy())


if __name__ == "__main__":
    pictures = sorted(pathlib.Path(sys.argv[1]).glob("*.png"))
    found = {
        f"{number}/{picture.stem}": mask
        for number, path in enumerate(sys.argv[3:])
        for picture, mask in zip(pictures, masks(path, pictures), strict=True)
    }
    np.savez(sys.argv[2], **found)
