"""Makes a model that only a future LiteRT could run, its operators' versions being unknown today: OLD NEW."""

import pathlib
import struct
import sys

content = bytearray(pathlib.Path(sys.argv[1]).read_bytes())


def field(table, slot):
    """Place of a slot's value in a flatbuffer table; 0 where it has none."""
    slots = table - struct.unpack_from("<i", content, table)[0]
    size = struct.unpack_from("<H", content, slots)[0]
    offset = struct.unpack_from("<H", content, slots + 4 + 2 * slot)[0] if 4 + 2 * slot < size else 0
    return table + offset if offset else 0


def follow(place):
    return place + struct.unpack_from("<I", content, place)[0]


codes = follow(field(follow(0), 1))
count = struct.unpack_from("<I", content, codes)[0]
versions = [field(follow(codes + 4 + 4 * i), 2) for i in range(count)]
for place in filter(None, versions):
    struct.pack_into("<i", content, place, 99)
if not any(versions):
    sys.exit(f"{sys.argv[1]}: every operator has version 1, which is not written")
pathlib.Path(sys.argv[2]).write_bytes(content)
