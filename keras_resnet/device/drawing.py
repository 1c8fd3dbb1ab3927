"""Answers drawn over the pictures that they are of, with Pillow alone."""

import pathlib

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .boxes import Found
from .mask import NO_CLASS, Masked

# Okabe and Ito's colours, which colour-blind people can tell apart; black, which is their eighth, hides on pictures.
PALETTE = ((0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (213, 94, 0), (86, 180, 233), (240, 228, 66))
OPAQUE = 0.55  # a mask over its picture
CROWDED = 40  # boxes, from which on they have no names


def drawn(image, shown, labels):
    """A copy of a picture with an answer over it.

    Args:
        image: upright `PIL.Image.Image`.
        shown: `boxes.Found`, `mask.Masked` or `classes.Likeliest`.
        labels: class names, in the contract's order.

    Returns:
        RGB `PIL.Image.Image` of the same size, a line longer where names stand below.
    """
    image = image.convert("RGB")
    if isinstance(shown, Found):
        return _boxes(image, shown, labels)
    if isinstance(shown, Masked):
        return _captioned(
            _mask(image, shown), [(label, shown.colours[labels.index(label)]) for label, _ in shown.parts]
        )
    return _captioned(image, [(line, None) for line in shown.as_lines()[:3]])


def _font(image):
    return ImageFont.load_default(max(10, round(max(image.size) / 45)))


def _boxes(image, found, labels):
    texts = [f"{label} {100 * p:.0f} %" for label, p in zip(found.labels, found.probabilities, strict=True)]
    kinds = [labels.index(label) for label in found.labels]
    # The likeliest last, above the others.
    return outlined(image, found.boxes[::-1], kinds[::-1], texts[::-1] if len(texts) <= CROWDED else ())


def outlined(image, boxes, kinds, texts=()):
    """A copy of a picture with boxes on it, the last one on top.

    Args:
        image: RGB `PIL.Image.Image`.
        boxes: (n, 4): top, left, bottom, right in its pixels.
        kinds: number of each one's class, for its colour.
        texts: what stands in each; none where empty.
    """
    image = image.copy()
    canvas, font = ImageDraw.Draw(image), _font(image)
    wide = max(1, round(max(image.size) / 300))
    for (top, left, bottom, right), kind, text in zip(
        np.asarray(boxes).tolist(), kinds, texts or [""] * len(kinds), strict=True
    ):
        colour = PALETTE[kind % len(PALETTE)]
        canvas.rectangle((left, top, max(left, right), max(top, bottom)), outline=colour, width=wide)
        if text:
            corner = (max(0, left), max(0, top))
            canvas.rectangle(canvas.textbbox(corner, text, font), fill=colour)
            canvas.text(corner, text, _on(colour), font)
    return image


def _on(colour):
    """Black or white, whichever can be read on a colour."""
    return (0, 0, 0) if np.dot(colour, (0.299, 0.587, 0.114)) > 128 else (255, 255, 255)


def _mask(image, masked):
    table = np.zeros((NO_CLASS + 1, 3), np.float32)
    table[: len(masked.colours)] = masked.colours
    opaque = np.where(masked.mask == NO_CLASS, 0.0, OPAQUE)[..., None].astype(np.float32)
    pixels = np.asarray(image, np.float32)
    return Image.fromarray(np.round(pixels * (1 - opaque) + table[masked.mask] * opaque).astype(np.uint8))


def _captioned(image, lines):
    """A picture with lines of text below it: (text, colour of a square before it, or None)."""
    font = _font(image)
    step = round(1.4 * font.size)
    places, x, y = [], step // 3, 0
    for text, colour in lines:
        needed = round(font.getlength(text)) + (step if colour else 0) + step
        if places and (x + needed > image.width or colour is None):
            x, y = step // 3, y + step
        places.append((x, y, text, colour))
        x += needed
    whole = Image.new("RGB", (image.width, image.height + y + step), (255, 255, 255))
    whole.paste(image)
    canvas = ImageDraw.Draw(whole)
    for x, y, text, colour in places:
        y += image.height
        if colour:
            canvas.rectangle((x, y + step // 6, x + font.size, y + step // 6 + font.size), fill=colour)
            x += step
        canvas.text((x, y + step // 10), text, (0, 0, 0), font)
    return whole


def heard(pixels):
    """What a network hears, uint8 (moments, bands, 1) or a wave (1, samples, 1); time goes to the right, pitch upwards.

    Returns:
        gray `PIL.Image.Image`.
    """
    maps = pixels[..., 0]
    if len(maps) == 1:  # a wave: black where it is
        columns = np.array_split(maps[0].astype(int), min(336, maps.shape[1]))
        rows = np.arange(240)[:, None]
        ends = [(240 - 1 - np.array([f(part) for part in columns]) * 239 // 255) for f in (np.max, np.min)]
        return Image.fromarray(np.where((rows >= ends[0]) & (rows <= ends[1]), 0, 255).astype(np.uint8))
    image = Image.fromarray(np.ascontiguousarray(maps.T[::-1]))
    return image.resize((336, 240), Image.Resampling.NEAREST)


def label_map(masked):
    """A mask as a palette PNG's picture: a pixel is its class's number, 255 where none is known."""
    image = Image.fromarray(masked.mask)
    colours = np.zeros((NO_CLASS + 1, 3), np.uint8)
    colours[: len(masked.colours)] = masked.colours
    image.putpalette(colours.ravel().tolist())
    return image


class Folder:
    """Where pictures are written, each under the name of the one that it was made of.

    Args:
        path: of a folder, made where it is missing; or, for one picture, of a file with a picture's suffix.
        sources: paths of the pictures.

    Raises:
        ValueError: it is a file, and there are several pictures; or the pictures themselves lie there.
    """

    def __init__(self, path, sources):
        alone = len(sources) == 1
        self.path, self.taken = pathlib.Path(path), set()
        self.file = self.path.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp") and not self.path.is_dir()
        if self.file and not alone:
            raise ValueError(f"{path}: a file for several pictures; give a folder")
        folders = {pathlib.Path(source).resolve().parent for source in sources}
        if not self.file and self.path.resolve() in folders:
            raise ValueError(f"{path}: the pictures themselves lie there; give another folder")
        if self.file and self.path.resolve() == pathlib.Path(sources[0]).resolve():
            raise ValueError(f"{path}: that is the picture itself; give another file")
        if self.path.exists() and not self.path.is_dir() and not self.file:
            raise ValueError(f"{path}: expected a folder, or a file that ends in .png")

    def save(self, image, source):
        """Writes a picture as that of `source`, a path; returns where it is.

        Raises:
            ValueError: it can't be written.
        """
        path = self.path if self.file else self.path / f"{self._free(pathlib.Path(source).stem)}.png"
        part = path.with_name(f".{path.name}.part{path.suffix}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(part)
            part.replace(path)
        except OSError as error:
            raise ValueError(f"{path}: it can't be written ({error})") from error
        finally:
            part.unlink(missing_ok=True)
        return path

    def _free(self, stem):
        name, number = stem, 2
        while name in self.taken:
            name, number = f"{stem}_{number}", number + 1
        self.taken.add(name)
        return name
