"""Damages one byte of a file."""
import os

FIRST_MAP_ENTRY = 69632   # where the page map begins in the state file


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 0x55]))
