"""Flatbuffers by hand: tables, vectors and texts of schemas that are in no package here."""


def valid(text):
    """A text as UTF-8. What Python reads of other bytes, in names of files and in arguments, are lone surrogates."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def table(b, slots, offsets, bytes_=None, integers=None, numbers=None):
    """Writes a table of a `flatbuffers.Builder`; returns its offset.

    Args:
        b: the builder.
        slots: fields of the schema.
        offsets: slot -> offset of a string, vector or table.
        bytes_: slot -> byte, enumeration or boolean.
        integers: slot -> unsigned integer of 32 bits.
        numbers: slot -> float of 32 bits.
    """
    b.StartObject(slots)
    for slot, offset in offsets.items():
        b.PrependUOffsetTRelativeSlot(slot, offset, 0)
    for slot, number in (numbers or {}).items():
        b.PrependFloat32Slot(slot, number, 0.0)
    for slot, number in (integers or {}).items():
        b.PrependUint32Slot(slot, number, 0)
    for slot, number in (bytes_ or {}).items():
        b.PrependUint8Slot(slot, number, 0)
    return b.EndObject()


def text(b, string):
    return b.CreateString(valid(string))


def _vector(b, items, prepend):
    b.StartVector(4, len(items), 4)
    for item in reversed(items):
        prepend(item)
    return b.EndVector()


def offsets(b, items):
    """A vector of tables or texts."""
    return _vector(b, items, b.PrependUOffsetTRelative)


def floats(b, numbers):
    return _vector(b, numbers, b.PrependFloat32)


def integers(b, numbers):
    return _vector(b, numbers, b.PrependUint32)


def aligned_bytes(b, content):
    """A vector of bytes that begins at a multiple of 16."""
    b.StartVector(1, len(content), 16)
    b.head -= len(content)
    b.Bytes[b.Head() : b.Head() + len(content)] = content
    return b.EndVector()


def root_bytes(b, root, identifier):
    b.Finish(root, file_identifier=identifier)
    return bytes(b.Output())
