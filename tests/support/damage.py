"""Damages one byte of a file; makes an object of a newer version of the format."""
import ctypes
import os

FIRST_MAP_ENTRY = 69632   # where the page map begins in the state file


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 0x55]))


def with_trailer(content, at, value):
    """The bytes of an object with another value at an offset of its trailer, and the right checksum."""
    content = bytearray(content)
    trailer = len(content) - 240
    content[trailer + at:trailer + at + len(value)] = value
    xxhash = ctypes.CDLL("libxxhash.so.0").XXH3_64bits
    xxhash.argtypes, xxhash.restype = (ctypes.c_char_p, ctypes.c_size_t), ctypes.c_uint64
    content[trailer + 224:trailer + 232] = xxhash(bytes(content[trailer:trailer + 224]), 224).to_bytes(8, "big")
    return bytes(content)


def make_newer(path, field="version"):
    """As a newer version of the format could write the object."""
    content = with_trailer(path.read_bytes(), *((1, b"\3") if field == "version" else (6, b"\2")))
    path.chmod(0o600)
    path.write_bytes(content)


def without_interior(marker):
    """A marker that names no interior pages."""
    return with_trailer(marker, 144, bytes(32))
