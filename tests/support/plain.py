"""Checks that output has no control sequences of a terminal, and no line that hostile text made up."""
import re

PLAIN = re.compile(r"[^\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufffd]*")
FORGED = re.compile(r"^(ERROR forged|\s*line)", re.M)   # lines that the hostile texts of the tests try to add


def assert_plain(output):
    """`output`: bytes, or text of the log."""
    text = output.decode() if isinstance(output, bytes) else output
    assert PLAIN.fullmatch(text), repr(text)
    assert not FORGED.search(text), text
