#!/usr/bin/env python3
"""Draws docs/figures/*.svg and the table in docs/figures.md from what tests/bench/bench.py measured.

    tests/bench/bench.py --only flat --only loss --json docs/figures/measured.json
    docs/figures.py

It uses the standard library alone. The viewer of a picture chooses the fonts of its text."""
import json
import pathlib
import re
import sys
from xml.sax.saxutils import escape

HERE = pathlib.Path(__file__).resolve().parent
MEASURED = HERE / "figures" / "measured.json"
PAGE = HERE / "figures.md"
COLORS = {"alone": "#8b949e", "Seawall": "#0969da", "Litestream": "#bf8700"}
NAMES = {"alone": "without a backup tool"}
INK, PALE, PAPER, RULE = "#1f2328", "#59636e", "#ffffff", "#d1d9e0"
FONT = "font-family=\"system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\""
WIDTH, LEFT, RIGHT, BAR, GAP, ROW = 760, 140, 100, 18, 5, 16


class Drawing:
    def __init__(self, title, note):
        self.parts, self.y, self.title = [], 32, title
        self.text(20, self.y, title, size=17, weight=600)
        self.y += 20
        self.text(20, self.y, note, size=12, fill=PALE)
        self.y += 22

    def text(self, x, y, text, size=13, weight=400, fill=INK, anchor="start"):
        self.parts.append(f'<text x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" fill="{fill}" '
                          f'text-anchor="{anchor}">{escape(text)}</text>')

    def legend(self, tools):
        x = LEFT
        for tool in tools:
            name = NAMES.get(tool, tool)
            self.parts.append(f'<rect x="{x}" y="{self.y - 10}" width="11" height="11" rx="2" fill="{COLORS[tool]}"/>')
            self.text(x + 17, self.y, name, size=12, fill=PALE)
            x += 17 + 7.2 * len(name) + 22
        self.y += 18

    def group(self, label, bars, top):
        """Bars of one question: [(tool, value, text)]; `top` is the value as wide as the picture."""
        height = len(bars) * (BAR + GAP) - GAP
        self.text(LEFT - 14, self.y + height / 2 + 4, label, anchor="end", weight=500)
        for tool, value, text in bars:
            width = max(2.0, (WIDTH - LEFT - RIGHT) * value / top) if top else 2.0
            self.parts.append(f'<rect x="{LEFT}" y="{self.y}" width="{width:.1f}" height="{BAR}" rx="2" fill="{COLORS[tool]}"/>')
            self.text(LEFT + width + 8, self.y + BAR - 5, text, size=12)
            self.y += BAR + GAP
        self.y += ROW

    def heading(self, text):
        self.parts.append(f'<line x1="20" x2="{WIDTH - 20}" y1="{self.y - 8}" y2="{self.y - 8}" stroke="{RULE}"/>')
        self.y += 12
        self.text(20, self.y, text, size=13, weight=600)
        self.y += 14

    def svg(self):
        body = "\n".join(self.parts)
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.y:g}" width="{WIDTH}" height="{self.y:g}" '
                f'role="img" {FONT}>\n<title>{escape(self.title)}</title>\n'
                f'<rect width="100%" height="100%" fill="{PAPER}" rx="6"/>\n{body}\n</svg>\n')


def number(value):
    return f"{value:,.0f}" if value == 0 or value >= 100 else f"{value:.3g}"


def milliseconds(value):
    return "nothing" if value == 0 else f"{value:,.0f} ms" if value >= 10 else f"{value:.2g} ms"


class Measured:
    def __init__(self, document):
        self.document, self.figures = document, document["figures"]

    def value(self, key, tool):
        return self.figures.get(key, {}).get("values", {}).get(tool)

    def tools(self, key, of=("alone", "Seawall", "Litestream")):
        return [tool for tool in of if self.value(key, tool) is not None]

    def bars(self, key, show):
        return [(tool, self.value(key, tool), show(self.value(key, tool))) for tool in self.tools(key)]

    def conditions(self):
        rounds = self.document["rounds"]
        litestream = next((note.removesuffix(", defaults") + " at its defaults" for note in self.document["notes"]
                           if note.startswith("Litestream ")), "")
        text = ", ".join(filter(None, ["a quick run" if self.document["quick"] else "", f"{self.document['cpus']} cores", litestream, f"median of {rounds.get('flat', '-')} round{'s' * (rounds.get('flat') != 1)}",
                                       f"{rounds.get('loss', '-')} disasters at each rate"]))
        return text[0].upper() + text[1:]


def loss(m):
    drawing = Drawing("Data lost when the machine dies", "Age of the oldest commit that is not in the replica, worst of "
                      f"{m.document['rounds']['loss']} disasters: application and daemon are killed at once")
    drawing.legend(m.tools("loss.max_100"))
    rates = [rate for rate in (1, 100, 1000) if m.tools(f"loss.max_{rate}")]
    top = max(m.value(f"loss.max_{rate}", tool) for rate in rates for tool in m.tools(f"loss.max_{rate}"))
    for rate in rates:
        drawing.group(f"{rate:,} commit{'s' * (rate > 1)}/s", m.bars(f"loss.max_{rate}", milliseconds), top)
    return drawing.svg()


def speed(m):
    drawing = Drawing("Speed of a writer", "One connection commits one row after the other, as fast as it can")
    drawing.legend(m.tools("flat.rate"))
    for heading, key, show in (("Commits a second: longer is better", "flat.rate", lambda v: f"{v:,.0f}"),
                               ("Slowest commit in a thousand (p99.9): shorter is better", "flat.p999", lambda v: f"{v:.3g} ms")):
        drawing.heading(heading)
        bars = m.bars(key, show)
        drawing.group("", bars, max(value for _, value, _ in bars))
    return drawing.svg()


def table(m):
    tools = ("alone", "Seawall", "Litestream")
    rows = [f"| | {' | '.join(NAMES.get(tool, tool) for tool in tools)} |", "|---|---|---|---|"]
    for label, key in (("commits a second", "flat.rate"), ("p99.9 of a commit, ms", "flat.p999"), ("longest commit, ms", "flat.max"),
                       *[(f"oldest lost commit at {rate}/s, median, ms", f"loss.median_{rate}") for rate in (1, 100, 1000)],
                       *[(f"oldest lost commit at {rate}/s, worst, ms", f"loss.max_{rate}") for rate in (1, 100, 1000)]):
        values = [m.value(key, tool) for tool in tools]
        rows.append(f"| {label} | {' | '.join('-' if value is None else number(value) for value in values)} |")
    return "\n".join(rows) + f"\n\n{m.conditions()}.\n"


def main():
    if not MEASURED.exists():
        print(f"figures: '{MEASURED}' is missing\n  HINT: tests/bench/bench.py --only flat --only loss --json {MEASURED}", file=sys.stderr)
        return 1
    m = Measured(json.loads(MEASURED.read_text()))
    (HERE / "figures" / "loss.svg").write_text(loss(m))
    (HERE / "figures" / "speed.svg").write_text(speed(m))
    page = PAGE.read_text()
    page, count = re.subn(r"(?s)(<!-- figures\.py -->\n).*?(<!-- end -->)", lambda match: match[1] + table(m) + match[2], page)
    if count != 1:
        print(f"figures: '{PAGE}' has no place for the table", file=sys.stderr)
        return 1
    PAGE.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
