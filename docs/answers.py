"""Draws a model's answers to pictures side by side: `python docs/answers.py MODEL.tflite OUT.png PICTURE…`.

docs/boxes.png is made of two validation pictures of BCCD (https://github.com/Shenggan/BCCD_Dataset, MIT licence).
"""

import sys

from PIL import Image

from keras_resnet.device import drawing
from keras_resnet.device.reader import Reader

HEIGHT, GAP = 360, 8


def main(model, out, *paths):
    reader, shown = Reader(model), []
    for path in paths:
        with Image.open(path) as image:
            answer = drawing.drawn(image, reader.predict(path), reader.contract.labels)
        shown.append(answer.resize((answer.width * HEIGHT // answer.height, HEIGHT), Image.Resampling.LANCZOS))
    whole = Image.new("RGB", (sum(one.width + GAP for one in shown) - GAP, HEIGHT), "white")
    left = 0
    for one in shown:
        whole.paste(one, (left, 0))
        left += one.width + GAP
    whole.quantize(256, dither=Image.Dither.NONE).save(out, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
