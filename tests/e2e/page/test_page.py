"""The status page in a browser: headless Chromium takes pictures of it, on a desktop and on a phone, light and dark. They are left in
build/tests/page for a person to look at."""
import re
import shutil
import struct
import subprocess
import zlib

import pytest

from fleet import Fleet, insert, make_database
from seawall import CHECKOUT, DONE, seawall, told
from waiting import PATIENCE
from web import answers, ask, free_port

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PICTURES = CHECKOUT / "build" / "tests" / "page"
SIZES = {"desktop": (1200, 1600), "phone": (390, 2400)}
BACKGROUND = {"light": (0xf6, 0xf7, 0xf9), "dark": (0x12, 0x16, 0x1c)}   # --bg of the style sheet

pytestmark = pytest.mark.skipif(not BROWSER, reason="Chromium is not installed")


def browse(folder, url, *options, size=SIZES["desktop"], scheme="light"):
    """The output of the browser, and its messages."""
    result = subprocess.run([BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
                             f"--user-data-dir={folder}/chromium", f"--window-size={size[0]},{size[1]}", "--virtual-time-budget=2000",
                             f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}", "--enable-logging=stderr", *options, url],
                            capture_output=True, timeout=120 * PATIENCE)
    assert result.returncode == 0, told(result)
    return result.stdout.decode(), [line for line in result.stderr.decode(errors="replace").splitlines() if "CONSOLE" in line]


def first_pixel(path):
    """Of a PNG with 8 bits for each of three or four channels."""
    data, at, packed = path.read_bytes(), 8, b""
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    assert depth == 8 and kind in (2, 6)
    while at < len(data):
        size, name = struct.unpack(">I4s", data[at:at + 8])
        packed += data[at + 8:at + 8 + size] if name == b"IDAT" else b""
        at += 12 + size
    return (width, height), tuple(zlib.decompress(packed)[1:4])


def measure(folder, port, width):
    """(width of the document, width of its window), by a script, which the page itself may not have; in a frame, because the window of a
    browser without a screen is 500 pixels wide at least."""
    script = "<script>onload=()=>parent.postMessage(document.documentElement.scrollWidth+' '+innerWidth,'*')</script></body>"
    text = re.sub(r'<meta http-equiv="refresh"[^>]*>', "", ask(port, "/").text())
    (folder / "measured.html").write_text(text.replace("</body>", script))
    (folder / "frame.html").write_text("<title>-</title><script>onmessage=event=>document.title=event.data</script>"
                                       f'<iframe src="measured.html" width="{width}" height="2000" frameborder="0"></iframe>')
    dom, _ = browse(folder, f"file://{folder}/frame.html", "--dump-dom")
    return tuple(map(int, re.search(r"<title>(\d+) (\d+)</title>", dom).groups()))


def take_pictures(folder, port, name):
    PICTURES.mkdir(parents=True, exist_ok=True)
    for device, size in SIZES.items():
        for scheme, background in BACKGROUND.items():
            path = PICTURES / f"{name}-{device}-{scheme}.png"
            _, messages = browse(folder, f"http://127.0.0.1:{port}/", f"--screenshot={path}", size=size, scheme=scheme)
            assert messages == [], "the browser blocks or misses something"
            assert first_pixel(path) == (size, background), f"{path}: the style sheet does not count"
        width, window = measure(folder, port, size[0])
        assert window == size[0], "the window has another width"
        assert width <= window, f"{name} on a {device}: the page is wider than the window"


@pytest.fixture
def fleet_of(tmp_path):
    made = []

    def make(text, *options, **more):
        """A daemon of a configuration, and its port."""
        port = free_port()
        fleet = Fleet.__new__(Fleet)
        fleet.folder, fleet.config = tmp_path, tmp_path / "seawall.conf"
        fleet.config.write_text(f"[seawall]\nlisten = {port}\nsleep-after = 1s\n{text}")
        fleet.start([*options, "-c", fleet.config], tmp_path / "seawall.log", **more)
        made.append(fleet)
        fleet.wait_for(lambda: answers(port), 30, "the page is served")
        return fleet, port
    yield make
    for one in made:
        one.kill()   # a store that is down would be waited for


def settled(fleet, port, words, seconds=60):
    fleet.wait_for(lambda: words in ask(port, "/").text(), seconds, f"the page says {words!r}")


def test_one_database(fleet_of, tmp_path):
    make_database(tmp_path / "app.db", rows=1000)
    fleet, port = fleet_of(f"[db {tmp_path}/app.db]\nreplica = {tmp_path}/replica\n")
    settled(fleet, port, "The database is well")
    take_pictures(tmp_path, port, "one")


def test_three_databases_a_conflict_and_a_store_that_is_down(fleet_of, tmp_path):
    for name in ("app", "billing", "a-database-with-a-rather-long-name-that-has-to-be-broken-on-a-phone-somewhere", "other"):
        make_database(tmp_path / f"{name}.db", rows=200)
    other = seawall("snapshot", tmp_path / "other.db", tmp_path / "replicas" / "taken")
    assert other.returncode == DONE, told(other)
    down = f"s3://backup/billing?endpoint=http://127.0.0.1:{free_port()}"
    keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    fleet, port = fleet_of(f"[db {tmp_path}/app.db]\nreplica = {tmp_path}/replicas/app\nreplica = {tmp_path}/replicas/taken\n"
                           f"[db {tmp_path}/billing.db]\nreplica = {tmp_path}/replicas/billing\nreplica = {down}\n"
                           f"[db {tmp_path}/a-database-with-a-rather-long-name-that-has-to-be-broken-on-a-phone-somewhere.db]\nreplica = {tmp_path}/replicas/long\n",
                           environment=keys)
    for i in range(5):
        insert(tmp_path / "billing.db", i)
    settled(fleet, port, ">conflict<")
    settled(fleet, port, "It fails since")
    page = ask(port, "/").text()
    assert page.index("app.db</b>") < page.index("billing.db</b>") and ask(port, "/healthz").status == 503
    take_pictures(tmp_path, port, "three")


def test_a_thousand_databases(fleet_of, tmp_path):
    (tmp_path / "tenants").mkdir()
    make_database(tmp_path / "first.db")
    for i in range(1000):
        shutil.copyfile(tmp_path / "first.db", tmp_path / "tenants" / f"tenant-{i:04}.db")
    (tmp_path / "tenants" / "tenant-0007.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    fleet, port = fleet_of(f"[db {tmp_path}/tenants/*.db]\nreplica = {tmp_path}/replicas/{{stem}}\n")
    settled(fleet, port, "900 more databases are not shown", seconds=240)
    settled(fleet, port, "tenant-0007.db</b><span class=\"bad\">", seconds=240)
    fleet.wait_for(lambda: re.search(r"999 asleep", ask(port, "/").text()), 240, "all others are asleep")
    take_pictures(tmp_path, port, "thousand")
