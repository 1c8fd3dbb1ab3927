"""Writes what Pillow reads in picture files of many kinds; the app's decoder (Android's) is held to it by a test.

    python android_demo/picture_vectors.py      -> app/src/jvmTest/resources/pictures.txt

A line a picture: name, width, height, the file and its upright RGB pixels in base64.
"""

import base64
import io
import pathlib
import sys

import numpy as np
from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).parent
TARGET = HERE / "app/src/jvmTest/resources/pictures.txt"
sys.path.insert(0, str(HERE.parent))
from keras_resnet.device.picture import Picture  # noqa: E402

HEIGHT, WIDTH = 29, 37


def pixels(channels):
    """Waves and noise, the same in every run; uint8 (HEIGHT, WIDTH, channels)."""
    y, x, c = np.mgrid[:HEIGHT, :WIDTH, :channels]
    waves = 128 + 90 * np.sin(0.3 * x + 0.2 * y * (1 + c)) + np.random.default_rng(0).normal(0, 12, x.shape)
    return np.clip(waves, 0, 255).astype(np.uint8)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def files():
    """Name -> bytes."""
    rgb, rgba = Image.fromarray(pixels(3)), Image.fromarray(pixels(4))
    found = {
        "png_rgb": encoded(rgb, "PNG"),
        "png_gray": encoded(rgb.convert("L"), "PNG"),
        "png_rgba": encoded(rgba, "PNG"),
        "png_gray_alpha": encoded(rgba.convert("LA"), "PNG"),
        "png_palette": encoded(rgb.quantize(32), "PNG"),
        "png_palette_transparent": encoded(rgb.quantize(32), "PNG", transparency=3),
        "bmp": encoded(rgb, "BMP"),
        "webp_lossless": encoded(rgb, "WEBP", lossless=True),
        "jpeg_gray": encoded(rgb.convert("L"), "JPEG", quality=80),
        "jpeg_444": encoded(rgb, "JPEG", quality=90, subsampling="4:4:4"),
        "jpeg_422": encoded(rgb, "JPEG", quality=75, subsampling="4:2:2"),
        "jpeg_420": encoded(rgb, "JPEG", quality=75, subsampling="4:2:0"),
        "jpeg_progressive": encoded(rgb, "JPEG", quality=60, progressive=True),
    }
    for orientation in range(2, 9):
        found[f"jpeg_orientation{orientation}"] = encoded(rgb, "JPEG", quality=90, exif=exif(orientation))
    return found


def main():
    lines = []
    for name, content in files().items():
        image = Image.open(io.BytesIO(content))
        width, height = ImageOps.exif_transpose(image).size
        pixels = Picture(height, width, 3).pixels(image)  # of its own size: nothing is resized
        parts = [base64.b64encode(part).decode() for part in (content, pixels.tobytes())]
        lines.append(" ".join([name, str(width), str(height), *parts]))
    TARGET.write_text("\n".join(lines) + "\n")
    print(f"{TARGET}: {len(lines)} pictures")


if __name__ == "__main__":
    main()
