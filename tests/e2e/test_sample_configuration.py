"""etc/seawall.conf and the example of seawall.conf(5) are read by the program without an error. tests/lint/docs.py checks that nothing is missing in them."""
import re

import pytest

from seawall import CHECKOUT, USAGE, seawall, told

SAMPLE = (CHECKOUT / "etc" / "seawall.conf").read_text()
PAGE = (CHECKOUT / "man" / "seawall.conf.5").read_text()
TEXTS = {
    "the sample": SAMPLE,
    "the sample with nothing left out": re.sub(r"(?m)^#(?! |$)", "", SAMPLE),
    "the example of the page": re.search(r"\.nf\n(\[.*?)\.fi", PAGE, re.S)[1].replace("\\-", "-"),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_the_program_reads_the_sample_without_an_error(text, tmp_path):
    path = tmp_path / "seawall.conf"
    path.write_text(text)
    result = seawall("replicate", "-c", path, "/another.db", seconds=10)   # ends after the whole file was read: it lacks this database
    assert result.returncode == USAGE, told(result)
    assert result.stderr == (b"seawall: the configuration has no [db /another.db]\n"
                             b"  HINT: 'seawall config -c FILE' shows the sections that it has\n"), told(result)
