"""Where pictures come from: files, folders, a camera."""

import pathlib

from PIL import Image

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif"),
    *(".webp", ".avif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
)
Image.init()  # all decoders now: else the first picture's time holds the import of its own
FORMATS = tuple(f for f in ("JPEG", "PNG", "BMP", "GIF", "WEBP", "AVIF", "TIFF", "PPM") if f in Image.OPEN)
# A phone's pictures pass; a small file that unpacks into gigabytes does not.
MAX_PIXELS = 64_000_000
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
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
            if not inside:
                raise PictureError(f"{path}: no picture in this folder; expected files as {', '.join(SUFFIXES[:4])}")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise PictureError(f"{path}: no such picture or folder")
    return found


def read(file, name):
    """Opens and decodes a picture.

    Args:
        file: path or binary file.
        name: what messages call it.

    Returns:
        `PIL.Image.Image`, decoded.

    Raises:
        PictureError: it is no picture, a broken or a huge one.
    """
    try:
        image = Image.open(file, formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise PictureError(f"{name}: {image.width}x{image.height} pixels; expected at most {MAX_PIXELS:,}")
        image.load()
    except PictureError:
        raise
    except Image.UnidentifiedImageError as error:
        raise PictureError(f"{name}: no picture; expected {', '.join(FORMATS)}") from error
    # Decoders raise many kinds for a broken file.
    except Exception as error:
        raise PictureError(f"{name}: broken picture ({error})") from error
    return image


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
    camera = cv2.VideoCapture(int(device) if device.isdigit() else device)
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
