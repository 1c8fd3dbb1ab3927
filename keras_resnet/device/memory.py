"""Bytes that threads share."""

import contextlib
import threading


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
