#!/usr/bin/env python3
"""Compares the names of metrics: each one that an alert, the dashboard or a page names is printed by src/web/metrics.c.

If promtool is installed, it checks the alerts too. Exits 1 and names each thing that is wrong."""
import json
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES, DASHBOARD = ROOT / "etc" / "prometheus" / "seawall.rules.yml", ROOT / "etc" / "grafana" / "seawall.json"
PAGES = [RULES, DASHBOARD, *sorted((ROOT / "docs").glob("*.md")), ROOT / "man" / "seawall.1", ROOT / "README.md"]
NAME = re.compile(r"\bseawall_[a-z_]*[a-z]\b(?!\.|\()")


def printed():
    return set(re.findall(r'"(seawall_[a-z_]+)"', (ROOT / "src" / "web" / "metrics.c").read_text()))


def check_names():
    known = printed()
    if len(known) < 30:
        yield "src/web/metrics.c: the names of metrics were not found"
    for page in PAGES:
        for number, line in enumerate(page.read_text().splitlines(), 1):
            for name in NAME.findall(line.replace("\\-", "-")):
                if name not in known:
                    yield f"{page.relative_to(ROOT)}:{number}: there is no metric {name}"


def check_alerts():
    text = RULES.read_text()
    for alert in re.split(r"\n +- alert: ", text)[1:]:
        if not re.search(r'\n +description: ".*(?:seawall|systemctl|put-rate)', alert):
            yield f"{RULES.relative_to(ROOT)}: {alert.split()[0]} does not say what to do"
    if shutil.which("promtool"):
        result = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, text=True)
        if result.returncode != 0:
            yield f"{RULES.relative_to(ROOT)}: promtool: {result.stdout}{result.stderr}"


def check_dashboard():
    ids = [panel["id"] for panel in json.loads(DASHBOARD.read_text())["panels"]]
    if len(ids) != len(set(ids)):
        yield f"{DASHBOARD.relative_to(ROOT)}: two panels have one id"


def main():
    found = [problem for rule in (check_names, check_alerts, check_dashboard) for problem in rule()]
    for problem in found:
        print(problem)
    print(f"lint: metrics: {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
