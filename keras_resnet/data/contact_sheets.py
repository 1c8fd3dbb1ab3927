"""One picture a class: what its pictures look like, side by side."""

import re

from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from keras_resnet import files
from keras_resnet.device.picture import upright

COLUMNS, ROWS, SIDE, GAP, TITLE = 8, 6, 112, 4, 34


def write(folder, names, pictures):
    """Writes `NUMBER-NAME.png` of each class into a folder: up to 48 of its pictures, evenly drawn from all.

    Args:
        folder: `pathlib.Path`; it is made.
        names: of the classes.
        pictures: `check.Looked`, readable ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("[0-9][0-9][0-9]*-*.png"):  # of another folder of that name, or of classes that are gone
        old.unlink()
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 18)
    for label, name in enumerate(names):
        paths = [p.path for p in pictures if label in p.labels]
        file = re.sub(r"[^\w.-]", "_", name)[:80]
        with files.atomic(folder / f"{label:03}-{file}.png") as temporary:
            sheet(f"{name}: {len(paths):,} pictures", paths, font).save(temporary, "PNG")


def sheet(title, paths, font):
    """A `PIL.Image.Image` of up to 48 pictures, each whole, upright, in a square."""
    shown = [paths[i * len(paths) // (COLUMNS * ROWS)] for i in range(COLUMNS * ROWS)] if paths else []
    shown = list(dict.fromkeys(shown))
    rows = max(1, -(-len(shown) // COLUMNS))
    page = Image.new("RGB", (COLUMNS * (SIDE + GAP) + GAP, TITLE + rows * (SIDE + GAP) + GAP), "white")
    ImageDraw.Draw(page).text((GAP + 2, 5), title, "black", font)
    for i, path in enumerate(shown):
        with Image.open(path) as image:
            image.draft("RGB", (2 * SIDE, 2 * SIDE))
            small = upright(image)
            small.thumbnail((SIDE, SIDE))
            x, y = GAP + i % COLUMNS * (SIDE + GAP), TITLE + i // COLUMNS * (SIDE + GAP)
            page.paste(small, (x + (SIDE - small.width) // 2, y + (SIDE - small.height) // 2))
    return page
