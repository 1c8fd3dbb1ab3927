"""`http.server` for a small machine: clients that are many, slow or silent get so many places, seconds and bytes.

(waitress, the usual small server, has no deadline for a whole request and keeps large ones on the disk.)
"""

import contextlib
import http.client
import http.server
import re
import socket
import sys
import threading
import time

from . import memory

CLIENTS = 32  # at a time; others wait outside
MAX_HEAD = 16 * 2**10  # bytes of a request before its body
MAX_UPLOAD = 16 * 2**20  # bytes of a body
UPLOADS = 2 * MAX_UPLOAD  # of all bodies at a time; who comes later waits
DEADLINE = 60  # seconds that a request's head, and then its body, may take to come
CROWDED = 5  # seconds that they may take where others wait
SILENCE = 20  # seconds after which a client that sends or takes nothing is left, and that a body waits for room


class Refused(Exception):
    """A request that gets no answer: HTTP status and a sentence for the person."""


class BoundedServer(http.server.ThreadingHTTPServer):
    """A thread a request, `CLIENTS` at most.

    Args:
        host: name or address to listen at, of IPv4 or IPv6 (with or without brackets).
        port: 0 takes a free one.
        handler: `BoundedHandler`.
    """

    daemon_threads = True
    request_queue_size = 128  # with the usual 5, clients that come at once are reset

    def __init__(self, host, port, handler):
        self.places = threading.Semaphore(CLIENTS)
        self.uploads = memory.Room(UPLOADS)
        self.waiting = False  # somebody, outside
        self.coming = {}  # connection: when its request, or its body, began to come
        address = (host.strip("[]"), port)
        self.address_family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        super().__init__(address, handler)

    def get_request(self):
        """Takes the next client as soon as there is a place; until then it waits in the kernel's queue."""
        self.waiting = not self.places.acquire(timeout=0.5)
        if self.waiting:
            raise TimeoutError("no place is free")  # serve_forever asks again, after service_actions
        try:
            connection, address = super().get_request()
        except OSError:
            self.places.release()
            raise
        self.coming[connection] = time.monotonic()
        return connection, address

    def service_actions(self):
        """Leaves clients whose requests take too long; `SILENCE` would not tell one that sends a byte now and then."""
        crowded = self.waiting or self.uploads.free < MAX_UPLOAD
        latest = time.monotonic() - (CROWDED if crowded else DEADLINE)
        for connection, began in self.coming.copy().items():
            if began < latest:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)  # its thread reads an end, and closes it

    def shutdown_request(self, request):
        super().shutdown_request(request)
        self.coming.pop(request, None)
        self.places.release()

    def handle_error(self, request, client_address):
        """Keeps quiet about a client that went away."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class BoundedHandler(http.server.BaseHTTPRequestHandler):
    timeout = SILENCE

    def parse_request(self):
        whole, self.rfile = self.rfile, Head(self.rfile)
        try:
            return super().parse_request()
        finally:
            self.rfile = whole
            self.server.coming.pop(self.connection, None)

    @contextlib.contextmanager
    def body(self):
        """The request's body, for as long as there is room for it; raises `Refused`."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,12}", length):
            raise Refused(411, "expected a picture's bytes and their Content-Length")
        length = int(length)
        if length > MAX_UPLOAD:
            raise Refused(413, f"{length:,} bytes; expected at most {MAX_UPLOAD:,}")
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(self.server.uploads.taken(length, SILENCE))
            except memory.Full as error:
                raise Refused(503, "too many pictures at a time; try again soon") from error
            self.server.coming[self.connection] = time.monotonic()
            content = self.rfile.read(length)
            self.server.coming.pop(self.connection)
            if len(content) < length:
                raise Refused(400, f"{len(content):,} of {length:,} bytes came")
            yield content

    def hear_out(self):
        """Throws away what a refused client still sends; closed at once, it would be reset and never read why."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.server.coming[self.connection] = time.monotonic()
            while self.rfile.read1(2**16):
                pass


class Head:
    """A request's lines, together at most `MAX_HEAD` bytes; http.server alone takes 6 MB of every client."""

    def __init__(self, file):
        self.file, self.left = file, MAX_HEAD

    def readline(self, limit):
        line = self.file.readline(min(limit, self.left + 1))
        self.left -= len(line)
        if self.left < 0:
            raise http.client.HTTPException(f"more than {MAX_HEAD} bytes before the body")
        return line
