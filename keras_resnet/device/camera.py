"""A camera's pictures."""

import re

from PIL import Image

CAMERA_SIZE = (640, 480)


class CameraError(RuntimeError):
    """No camera, or none that answers; the message says what would do."""


def check(given):
    """Raises CameraError where a contract's input is of no pictures."""
    if given.KIND != "picture":
        raise CameraError(f"--camera: this model takes {given.THINGS}, not pictures")


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
