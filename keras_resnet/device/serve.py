"""A page for a Raspberry Pi without a screen: what the camera sees, or a dropped picture, with the answer to it.

`python -m device serve MODEL.tflite`

Three answers and the page; nothing that a client sends is a path or reaches the disk. Clients that are slow, many or of
another page can't take more than a Pi with 1 GB has: the whole process stays below 600 MB.
"""

import argparse
import base64
import io
import ipaddress
import json
import pathlib
import socket
import sys
import threading
import urllib.parse

from . import bounded_server, camera, command_line, drawing, picture_files
from .bounded_server import Refused
from .picture import upright
from .several import SINGLE

SHOWN = 640  # pixels, of the longer side of a picture with its answer, at least
PAGE = pathlib.Path(__file__).with_name("page.html")
# What a router makes of this machine's name. Nobody can buy a name under these (fritz.box is the router maker's own),
# unlike raspberrypi.example, to point it here.
SUFFIXES = ("local", "lan", "home", "internal", "home.arpa", "fritz.box")


def main(given, program):
    parser = argparse.ArgumentParser(program, description="A page for camera and dropped pictures, until Ctrl-C.")
    parser.add_argument("model", metavar="MODEL.tflite")
    parser.add_argument("--camera", action="store_true", help="end where no camera is there")
    parser.add_argument("--device", default="0", help="number or path of a camera for OpenCV, or a video file")
    parser.add_argument("--host", default="127.0.0.1", help="address of the page; 0.0.0.0 for the whole network")
    parser.add_argument("--port", type=int, default=8000, help="of the page; 0 takes a free one")
    parser.add_argument("--name", action="append", default=[], help="another name that browsers know this machine by")
    parser.add_argument("--top", type=command_line.positive, default=5, help="how many classes to name")
    parser.add_argument("--threads", type=command_line.threads, default=1, help="of LiteRT")
    parser.add_argument("--labels", metavar="FILE", help="class names, one a line, instead of those in the model")
    chosen = parser.parse_args(given)
    reader = command_line.load(parser, chosen.model, chosen.threads, chosen.labels)
    if why := no_page(reader.contract.input):
        command_line.fail(parser, f"{chosen.model}: {why}")
    try:
        if chosen.camera:
            camera.check(reader.contract.input)
        frames = open_camera(chosen) if reader.contract.input.KIND == "picture" else None
        server = Server(reader, frames, chosen)
    except camera.CameraError as error:
        command_line.fail(parser, error)
    except (OSError, OverflowError, UnicodeError) as error:
        command_line.fail(parser, f"{chosen.host}:{chosen.port}: {error}; try another --port or --host")
    host, port = server.server_address[:2]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    print(f"http://{address}  ({'with' if server.frames else 'without'} camera; Ctrl-C ends)", flush=True)
    with server:
        server.serve_forever()


def open_camera(chosen):
    """The camera's frames, or None where there is none and nobody asked for it."""
    frames = camera.frames(chosen.device)
    try:
        next(frames)
    except camera.CameraError as error:
        if chosen.camera:
            raise
        print(f"no camera: {error}", file=sys.stderr)
        return None
    return frames


def no_page(given):
    """Why a page can't ask for what a contract's input takes, a sentence; None where it can."""
    return None if given.KIND in SINGLE else f"it takes {given.THINGS}, a page one file; keras-resnet predict has them"


def about(contract, model):
    """What the page says of a model, and what it asks for."""
    path = pathlib.Path(model)
    name = path.parent.name if path.name == "model.tflite" else path.name  # as shipped ones are called
    output = contract.output
    colours = dict(zip(output.labels, output.colours, strict=True)) if output.KIND == "mask" else {}
    told = {"model": name, "colours": colours, "answers": f"{len(contract.labels)} {contract.output.COUNTED}"}
    given = contract.input
    if given.KIND == "sound":
        heard = {"rate": given.rate, "seconds": given.seconds}
        return told | {"input": f"{given.seconds:g} s at {given.rate:,} Hz", "sound": heard}
    if given.KIND == "text":
        return told | {"input": f"{given.length} tokens", "text": True}
    return told | {"input": "{}×{} pixels".format(*contract.shape[1::-1])}


class Server(bounded_server.BoundedServer):
    """Holds what requests share; one at a time has the network, the camera and a decoded picture."""

    def __init__(self, reader, frames, chosen):
        super().__init__(chosen.host, chosen.port, Handler)
        self.reader, self.frames, self.top = reader, frames, chosen.top
        self.about = about(reader.contract, chosen.model) | {
            "threads": chosen.threads,
            "camera": frames is not None,
            "max_upload": bounded_server.MAX_UPLOAD,
        }
        self.own = socket.gethostname().partition(".")[0].lower()
        self.names = {"localhost", socket.gethostname().lower(), self.own, *(f"{self.own}.{s}" for s in SUFFIXES)}
        self.names |= {name.lower() for name in chosen.name if name}
        self.page = PAGE.read_bytes()
        self.lock = threading.Lock()


class Handler(bounded_server.BoundedHandler):
    def do_GET(self):  # noqa: N802
        self.respond({"/": self.page, "/about": self.about, "/camera": self.camera})

    def do_HEAD(self):  # noqa: N802
        self.do_GET()

    def do_POST(self):  # noqa: N802
        self.respond({"/classify": self.classify})

    def respond(self, answers):
        """Sends what the function for this exact path returns: the page's bytes, or an object as JSON."""
        path = self.path.partition("?")[0]
        try:
            self.check_host()
            if path != "/":  # the page itself may be linked to
                self.check_origin()
            if path not in answers:
                raise Refused(404, "nothing is here; the page is at /")
            status, content = 200, answers[path]()
        except Refused as refused:
            status, content = refused.args[0], {"error": refused.args[1]}
        except ValueError as error:  # an answer that is no number
            status, content = 422, {"error": str(error)}
        kind = "text/html; charset=utf-8"
        if not isinstance(content, bytes):
            kind, content = "application/json", json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        policy = "default-src 'none'; connect-src 'self'; img-src blob: data:; frame-ancestors 'none'"
        self.send_header("Content-Security-Policy", f"{policy}; style-src 'unsafe-inline'; script-src 'unsafe-inline'")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        if self.command == "POST" and status != 200:
            self.hear_out()

    def check_host(self):
        """Lets in only who asked for this machine by address or its own name.

        A stranger's web page could else give its name this machine's address and read the camera from a browser here.
        """
        try:
            name = urllib.parse.urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        except ValueError:
            name = ""
        name = name.removesuffix(".")
        if name in self.server.names:
            return
        try:
            ipaddress.ip_address(name)
        except ValueError:
            own = f"http://{self.server.own}.local"
            raise Refused(421, f"open this page by its address, as {own}, or start it with --name=NAME") from None

    def check_origin(self):
        """Keeps out what the page of another origin makes a browser ask; no other client says where it comes from."""
        origin = self.headers.get("Origin")
        same = origin is None or origin.lower().partition("://")[2] == self.headers["Host"].lower()
        if not same or self.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
            raise Refused(403, "asked by a page of another origin; only this machine's own page may")

    def page(self):
        return self.server.page

    def about(self):
        return self.server.about

    def camera(self):
        """One frame as a data URL, and the answer to it."""
        server = self.server
        with server.lock:
            if server.frames is None:
                raise Refused(503, "no camera is there")
            try:
                image = next(server.frames)
            except (camera.CameraError, StopIteration) as error:
                server.frames = None
                raise Refused(503, str(error) or "the camera has ended") from error
            answer = server.reader.answer(server.reader.prepare_image(image), server.top)
            return {"picture": data_url(self.drawn(image, answer) or image), **answer.as_json()}

    def classify(self):
        """The answer to the request's body, and a picture of it where it has a place there, or of what is heard."""
        server = self.server
        with self.body() as content, server.lock:
            try:
                prepared = server.reader.prepare(io.BytesIO(content), "this file")
            except ValueError as error:
                raise Refused(415, str(error)) from error
            answer = server.reader.answer(prepared, server.top)
            if server.reader.contract.input.KIND == "sound":
                shown = drawing.heard(prepared.pixels)
                return {"picture": data_url(shown), **answer.as_json()}
            if not self.has_place():
                return answer.as_json()
            with picture_files.opened(io.BytesIO(content), "this file") as image:
                small = upright(image).reduce(max(1, max(image.size) // SHOWN))
            return {"picture": data_url(self.drawn(small, answer)), **answer.as_json()}

    def has_place(self):
        """Whether answers lie somewhere on the picture, so that they are drawn."""
        return self.server.reader.contract.output.KIND in ("boxes", "mask")

    def drawn(self, image, answer):
        """A picture, of whatever size, with the answer to it; None where answers have no place on it."""
        if not self.has_place():
            return None
        contract = self.server.reader.contract
        shown = contract.answer(answer.outputs, (image.height, image.width), self.server.top)
        return drawing.drawn(image, shown, contract.labels)

    def log_request(self, code="-", size="-"):
        """Keeps quiet about what went well: the camera alone would write ten lines a second."""
        if not str(getattr(code, "value", code)).startswith("2"):
            super().log_request(code, size)


def data_url(image):
    """A picture as a JPEG inside of a URL."""
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
