"""Takes Android's symbol versions out of an x86_64 library, so that this machine's loader accepts it: OLD NEW."""

import pathlib
import struct
import sys

VERSIONS = (0x6FFFFFF0, 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF)  # DT_VERSYM, DT_VERDEF*, DT_VERNEED*
IGNORED = 0x15  # DT_DEBUG
DYNAMIC = 2  # PT_DYNAMIC

content = bytearray(pathlib.Path(sys.argv[1]).read_bytes())
table, entry_size, entries = *struct.unpack_from("<Q", content, 32), *struct.unpack_from("<HH", content, 54)
for header in range(table, table + entry_size * entries, entry_size):
    kind, _, place, _, _, size = struct.unpack_from("<IIQQQQ", content, header)
    if kind == DYNAMIC:
        for entry in range(place, place + size, 16):
            if struct.unpack_from("<Q", content, entry)[0] in VERSIONS:
                struct.pack_into("<Q", content, entry, IGNORED)
pathlib.Path(sys.argv[2]).write_bytes(content)
