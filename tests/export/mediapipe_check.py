"""What MediaPipe's ImageClassifier names in pictures: `python mediapipe_check.py PICTURES MODEL.tflite…`.

For the Python of an environment that has mediapipe and nothing of this project. Prints JSON: for each model a list of
(name, score), one for each picture of the folder, by file name. Scores are logits: MediaPipe adds no softmax.
"""

import json
import pathlib
import sys

import mediapipe
from mediapipe.tasks.python import BaseOptions
from mediapipe.tasks.python.vision import ImageClassifier, ImageClassifierOptions


def best(path, pictures):
    """The likeliest (name, score) of each picture."""
    options = ImageClassifierOptions(base_options=BaseOptions(model_asset_path=path), max_results=1)
    with ImageClassifier.create_from_options(options) as classifier:
        results = [classifier.classify(mediapipe.Image.create_from_file(str(picture))) for picture in pictures]
    categories = [result.classifications[0].categories[0] for result in results]
    return [(category.category_name, category.score) for category in categories]


if __name__ == "__main__":
    pictures = sorted(pathlib.Path(sys.argv[1]).glob("*.png"))
    print(json.dumps([best(path, pictures) for path in sys.argv[2:]]))
