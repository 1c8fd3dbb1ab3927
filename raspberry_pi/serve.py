"""A page for a Raspberry Pi without a screen: what the camera sees, or a dropped picture, with its likeliest classes.

Three answers and the page; nothing that a client sends is a path or reaches the disk.
"""

import base64
import http.server
import io
import ipaddress
import json
import pathlib
import re
import socket
import sys
import threading

import classify
import pictures

PAGE = pathlib.Path(__file__).with_name("page.html")
MAX_UPLOAD = 16 * 2**20  # bytes
SILENCE = 20  # seconds after which a client that sends nothing is left


class Refused(Exception):
    """A request that gets no answer: HTTP status and a sentence for the person."""


def serve(reader, chosen):
    """Serves the page until Ctrl-C.

    Args:
        reader: `Classifier`.
        chosen: arguments of classify.py: model, host, port, top, device, and camera, without which a missing camera is
            no error.

    Returns:
        The exit status.

    Raises:
        CameraError: none is there, though it was asked for.
    """
    try:
        server = Server((chosen.host, chosen.port), reader, open_camera(chosen), chosen)
    except (OSError, OverflowError) as error:
        print(f"classify.py: {chosen.host}:{chosen.port}: {error}; try another --port or --host", file=sys.stderr)
        return 2
    host, port = server.server_address[:2]
    print(f"http://{host}:{port}  ({'with' if server.frames else 'without'} camera; Ctrl-C ends)", flush=True)
    with server:
        server.serve_forever()


def open_camera(chosen):
    """The camera's frames, or None where there is none and nobody asked for it."""
    frames = pictures.frames(chosen.device)
    try:
        next(frames)
    except pictures.CameraError as error:
        if chosen.camera:
            raise
        print(f"no camera: {error}", file=sys.stderr)
        return None
    return frames


class Server(http.server.ThreadingHTTPServer):
    """Holds what requests share; one at a time has the network, the camera and a decoded picture."""

    daemon_threads = True
    request_queue_size = 128  # with the usual 5, clients that come at once are reset

    def __init__(self, address, reader, frames, chosen):
        super().__init__(address, Handler)
        self.reader, self.frames, self.top = reader, frames, chosen.top
        self.about = {
            "model": pathlib.Path(chosen.model).name,
            "classes": len(reader.contract.labels),
            "input": "{}×{}".format(*reader.contract.shape[1::-1]),
            "threads": chosen.threads,
            "camera": frames is not None,
            "max_upload": MAX_UPLOAD,
        }
        self.page = PAGE.read_bytes()
        self.lock = threading.Lock()

    def handle_error(self, request, client_address):
        """Keeps quiet about a client that went away."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(http.server.BaseHTTPRequestHandler):
    timeout = SILENCE

    def do_GET(self):
        self.respond({"/": self.page, "/about": self.about, "/camera": self.camera})

    def do_POST(self):
        self.respond({"/classify": self.classify})

    def respond(self, answers):
        """Sends what the function for this exact path returns: the page's bytes, or an object as JSON."""
        try:
            self.check_host()
            if self.path not in answers:
                raise Refused(404, "nothing is here; the page is at /")
            status, content = 200, answers[self.path]()
        except Refused as refused:
            status, content = refused.args[0], {"error": refused.args[1]}
        kind = "text/html; charset=utf-8"
        if not isinstance(content, bytes):
            kind, content = "application/json", json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        policy = "default-src 'none'; connect-src 'self'; img-src blob: data:"
        self.send_header("Content-Security-Policy", f"{policy}; style-src 'unsafe-inline'; script-src 'unsafe-inline'")
        self.end_headers()
        self.wfile.write(content)

    def check_host(self):
        """Lets in only who asked for this machine by address or its own name.

        A stranger's web page could else give its name this machine's address and read the camera from a browser here.
        """
        name = self.headers.get("Host", "").rsplit(":", 1)[0].strip("[]").lower()
        own = socket.gethostname().lower()
        try:
            known = name in ("localhost", own, f"{own}.local") or bool(ipaddress.ip_address(name))
        except ValueError:
            known = False
        if not known:
            raise Refused(421, f"open this page by its address or as http://{own}.local")

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
            except (pictures.CameraError, StopIteration) as error:
                server.frames = None
                raise Refused(503, str(error) or "the camera has ended") from error
            answer = server.reader.answer(server.reader.prepare(image), server.top)
        file = io.BytesIO()
        image.save(file, "JPEG", quality=80)
        picture = "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
        return {"picture": picture, **classify.as_json(answer)}

    def classify(self):
        """The answer to the picture that is the request's body."""
        encoded = io.BytesIO(self.body())
        server = self.server
        with server.lock:
            try:
                prepared = classify.prepared(server.reader, encoded, "this file")
            except pictures.PictureError as error:
                raise Refused(415, str(error)) from error
            return classify.as_json(server.reader.answer(prepared, server.top))

    def body(self):
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,12}", length):
            raise Refused(411, "expected a picture's bytes and their Content-Length")
        if int(length) > MAX_UPLOAD:
            raise Refused(413, f"{int(length):,} bytes; expected at most {MAX_UPLOAD:,}")
        content = self.rfile.read(int(length))
        if len(content) < int(length):
            raise Refused(400, f"{len(content):,} of {int(length):,} bytes came")
        return content

    def log_request(self, code="-", size="-"):
        """Keeps quiet about what went well: the camera alone would write ten lines a second."""
        if not str(getattr(code, "value", code)).startswith("2"):
            super().log_request(code, size)
