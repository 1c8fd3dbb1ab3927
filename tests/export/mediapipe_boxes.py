"""What MediaPipe's ObjectDetector finds on pictures: `python mediapipe_boxes.py PICTURES THRESHOLD MODEL.tflite…`.

For the Python of an environment that has mediapipe and nothing of this project. Prints JSON: for each model a list with
an entry for each picture of the folder, by file name: (name, score, left, top, width, height) of each box.
"""

import json
import pathlib
import sys

import mediapipe
from mediapipe.tasks.python import BaseOptions
from mediapipe.tasks.python.vision import ObjectDetector, ObjectDetectorOptions


def found(path, threshold, pictures):
    options = ObjectDetectorOptions(base_options=BaseOptions(model_asset_path=path), score_threshold=threshold)
    with ObjectDetector.create_from_options(options) as detector:
        results = [detector.detect(mediapipe.Image.create_from_file(str(picture))) for picture in pictures]
    return [[described(detection) for detection in result.detections] for result in results]


def described(detection):
    category, box = detection.categories[0], detection.bounding_box
    return category.category_name, category.score, box.origin_x, box.origin_y, box.width, box.height


if __name__ == "__main__":
    pictures = sorted(pathlib.Path(sys.argv[1]).glob("*.png"))
    print(json.dumps([found(path, float(sys.argv[2]), pictures) for path in sys.argv[3:]]))
