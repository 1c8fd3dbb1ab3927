"""Where pictures come from: files, folders, a camera."""

import contextlib
import pathlib
import re
import threading

from PIL import Image

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif"),
    *(".webp", ".avif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
)
Image.init()  # all decoders now: else the first picture's time holds the import of its own
FORMATS = tuple(f for f in ("JPEG", "PNG", "BMP", "GIF", "WEBP", "AVIF", "TIFF", "PPM") if f in Image.OPEN)
# Bytes of memory that pictures may take at a time: one of a phone's 50 megapixels fits, on a Pi with 1 GB. A small file
# that unpacks into gigabytes does not.
MEMORY = 9 * 8192 * 6144
# Bytes that a pixel takes at most until it is prepared, by mode: decoded, turned upright, converted; all measured.
BYTES = {"RGB": 9, "1": 6, "L": 6, "P": 10, "LA": 12, "RGBA": 12, "CMYK": 12}
OTHER_BYTES = 16  # 16 and 32 bits a channel
DECODER_BYTES = {"AVIF": 16, "TIFF": 13, "WEBP": 16}  # those that keep more than the picture
PROGRESSIVE_BYTES = 10  # a JPEG's coefficients, all at once
Image.MAX_IMAGE_PIXELS = None  # `MEMORY` decides
CAMERA_SIZE = (640, 480)


class PictureError(ValueError):
    """A picture that can't be read; the message says which and why."""


class CameraError(RuntimeError):
    """No camera, or none that answers; the message says what would do."""


def find(paths):
    """The picture files of given files and folders (with all below them, hidden ones left out), sorted in each.

    Raises:
        PictureError: there is no such file, or no picture in a folder.
    """
    found = []
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if _is_picture(p, path))
            if not inside:
                raise PictureError(f"{path}: no picture in this folder; expected files as {', '.join(SUFFIXES[:4])}")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise PictureError(f"{path}: no such picture or folder")
    return found


def _is_picture(path, root):
    """Whether a path below a folder looks like a picture's; a pipe with such a name would be waited for."""
    hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
    return path.suffix.lower() in SUFFIXES and not hidden and not path.is_dir() and not path.is_fifo()


class Full(Exception):
    """A `Room` had no place for too long."""


class Room:
    """So many bytes that threads share."""

    def __init__(self, size):
        self.size = self.free = size
        self.changed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, size, seconds=None):
        """Holds `size` bytes, waiting until they are free; raises `Full` when that takes too many seconds."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.free >= size, seconds):
                raise Full
            self.free -= size
        try:
            yield
        finally:
            with self.changed:
                self.free += size
                self.changed.notify_all()


ROOM = Room(MEMORY)


@contextlib.contextmanager
def opened(file, name):
    """A decoded picture, `PIL.Image.Image`; while it is used, threads that want another wait where both are too large.

    Args:
        file: path or binary file.
        name: what messages call it.

    Raises:
        PictureError: it is no picture, a broken or a huge one.
    """
    try:
        image = Image.open(file, formats=FORMATS)
    except Image.UnidentifiedImageError as error:
        raise PictureError(f"{name}: no picture; expected {', '.join(FORMATS)}") from error
    # Decoders raise many kinds for a broken file.
    except Exception as error:
        raise PictureError(f"{name}: broken picture ({error})") from error
    with image:
        needed = memory(image)
        if needed > MEMORY:
            raise PictureError(
                f"{name}: {image.width}x{image.height} pixels ({image.format}, {image.mode}) take "
                f"{needed / 1e6:,.0f} MB of memory; expected at most {MEMORY / 1e6:.0f}; make the picture smaller"
            )
        with ROOM.taken(needed):
            try:
                image.load()
            except Exception as error:
                raise PictureError(f"{name}: broken picture ({error})") from error
            yield image


def memory(image):
    """Bytes that an opened picture takes at most until it is prepared."""
    decoder = PROGRESSIVE_BYTES if image.info.get("progressive") else DECODER_BYTES.get(image.format, 0)
    return image.width * image.height * max(BYTES.get(image.mode, OTHER_BYTES), decoder)


def frames(device="0"):
    """Yields a camera's pictures, each taken when it is asked for, as RGB `PIL.Image.Image`.

    A Raspberry Pi's own camera through picamera2, where both are there; else `device` through OpenCV.

    Args:
        device: number of a V4L2 camera, its path, or a video file.

    Raises:
        CameraError: no library, no camera, or it stopped.
    """
    try:
        from picamera2 import Picamera2
    except ImportError:
        Picamera2 = None  # noqa: N806
    if Picamera2 and Picamera2.global_camera_info():
        yield from _picamera_frames(Picamera2())
    else:
        yield from _opencv_frames(device)


def _picamera_frames(camera):
    try:
        camera.configure(camera.create_video_configuration(main={"size": CAMERA_SIZE, "format": "RGB888"}))
        camera.start()
        while True:
            yield camera.capture_image("main")
    finally:
        camera.close()


def _opencv_frames(device):
    try:
        import cv2
    except ImportError as error:
        raise CameraError(
            "a camera needs picamera2 (apt install python3-picamera2) or OpenCV (pip install opencv-python-headless)"
        ) from error
    camera = cv2.VideoCapture(int(device) if re.fullmatch("[0-9]{1,4}", device) else device)
    try:
        if not camera.isOpened():
            raise CameraError(f"camera {device}: none is there, or another program has it; try --device=1")
        camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # else a slow network sees pictures of some seconds ago
        while True:
            there, frame = camera.read()
            if not there:
                raise CameraError(f"camera {device}: it gives no more pictures")
            yield Image.fromarray(frame[:, :, ::-1])  # OpenCV's order is BGR
    finally:
        camera.release()
