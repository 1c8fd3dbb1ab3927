"""One picture a class: what its pictures look like, side by side."""

import re

from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from keras_resnet import files
from keras_resnet.device.picture import upright

COLUMNS, ROWS, SIDE, GAP, TITLE = 8, 6, 112, 4, 34
MOST = 100  # classes that have a sheet
MAKER = "Software", "keras-resnet check"  # in each sheet: no other file is ever removed


def write(folder, names, pictures, drawn=None):
    """Writes `NUMBER-NAME.png` of the first `MOST` classes into a folder: up to 48 pictures, evenly drawn from all.

    Sheets that lie there already are removed.

    Args:
        folder: `pathlib.Path`; it is made.
        names: of the classes.
        pictures: `check.Looked`, readable ones.
        drawn: from a path to a picture with what is on it; None for the picture alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("[0-9][0-9][0-9]*-*.png"):  # of another folder of that name, or of classes that are gone
        if _is_sheet(old):
            old.unlink()
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 18)
    made_by = PngImagePlugin.PngInfo()
    made_by.add_text(*MAKER)
    for label, name in enumerate(names[:MOST]):
        paths = [p.path for p in pictures if label in p.labels]
        file = re.sub(r"[^\w.-]", "_", name)[:80]
        with files.atomic(folder / f"{label:03}-{file}.png") as temporary:
            sheet(f"{name}: {len(paths):,}", paths, font, drawn).save(temporary, "PNG", pnginfo=made_by)


def _is_sheet(path):
    try:
        with Image.open(path) as image:
            return image.info.get(MAKER[0]) == MAKER[1]
    except OSError:
        return False


def sheet(title, paths, font, drawn=None):
    """A `PIL.Image.Image` of up to 48 pictures, each whole, upright, in a square; fewer, larger ones where `drawn`."""
    columns, most, side = (COLUMNS, ROWS, SIDE) if drawn is None else (3, 4, 3 * SIDE)
    shown = [paths[i * len(paths) // (columns * most)] for i in range(columns * most)] if paths else []
    shown = list(dict.fromkeys(shown))
    rows = max(1, -(-len(shown) // columns))
    page = Image.new("RGB", (columns * (side + GAP) + GAP, TITLE + rows * (side + GAP) + GAP), "white")
    ImageDraw.Draw(page).text((GAP + 2, 5), title, "black", font)
    for i, path in enumerate(shown):
        if drawn:
            small = drawn(path)
        else:
            with Image.open(path) as image:
                image.draft("RGB", (2 * side, 2 * side))
                small = upright(image)
                small.load()  # while it is open
        small.thumbnail((side, side))
        x, y = GAP + i % columns * (side + GAP), TITLE + i // columns * (side + GAP)
        page.paste(small, (x + (side - small.width) // 2, y + (side - small.height) // 2))
    return page
