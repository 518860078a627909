#!/usr/bin/env python3
"""Compares the documentation with the program. `seawall help --tables` prints the commands, options and keys of URLs.

  - OPTIONS of man/seawall.1 describes each option, with its default and its range, and no other;
  - the section of a command in man/seawall.1 describes each of its flags, and no other; so does its line of SYNOPSIS;
  - S3 URLS of man/seawall.1 describes each key of src/s3/config.c, with its values, its default and its range;
  - man/seawall.conf.5 and etc/seawall.conf name all options and keys; etc/seawall.conf has the defaults of the options;
  - EXIT STATUS of man/seawall.1 and `seawall help` name each exit code of src/cli/cli.h, and no other;
  - the messages that man/seawall.1 quotes under DIAGNOSTICS are in src;
  - links in Markdown pages lead to files that exist;
  - mandoc has no warning for the man pages;
  - no page names a folder of the machine on which the program is developed.

SEAWALL is the program; default: build/seawall. Prints each problem, and exits with 1 if there is one."""
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAN = ROOT / "man" / "seawall.1"
CONF = ROOT / "man" / "seawall.conf.5"
SAMPLE = ROOT / "etc" / "seawall.conf"
LINKED = ["README.md", "src/README.md", "docs/figures.md", "docs/database-for-each-tenant.md", "docs/coming-from-litestream.md", "docs/clients.md", "docs/cookbook.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
PROGRAM = os.environ.get("SEAWALL", ROOT / "build" / "seawall")
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "ms": 1, "s": 1000, "m": 60000, "h": 3600000, "d": 86400000, "/s": 3600, "/m": 60, "/h": 1, "": 1}


# ---- the man page, without its markup

def plain(roff):
    """The text of roff source without requests, font changes and escapes."""
    lines = []
    for line in roff.splitlines():
        if line.startswith('.\\"'):
            continue
        joined = re.match(r"\.(BR|RB|BI|IB|IR|RI) (.*)", line)
        if joined:  # alternating fonts: no blanks between the words
            words = re.findall(r'"([^"]*)"|(\S+)', joined.group(2))
            line = "".join(quoted or bare for quoted, bare in words)
        else:
            line = re.sub(r"^\.[A-Z]+ ?", "", line).replace('"', "")
        lines.append(re.sub(r"\\f[A-Z]", "", line).replace("\\-", "-").replace("\\(bu", "*").replace("\\&", ""))
    return "\n".join(lines)


def sections(roff):
    """Heading -> source, for .SH and .SS alike. The text under an .SS is not part of the .SH above it."""
    found, heading = {}, ""
    for line in roff.splitlines():
        start = re.match(r'\.S[HS] "?(.*?)"?$', line)
        if start:
            heading = start.group(1)
        else:
            found[heading] = found.get(heading, "") + line + "\n"
    return found


def tagged(roff):
    """Yields (tag, body) of each .TP paragraph."""
    for paragraph in re.split(r"(?m)^\.TP\b.*\n", roff)[1:]:
        tag, _, body = paragraph.partition("\n")
        yield plain(tag), plain(body)


def options_in(roff):
    """Name without dashes -> body, of the paragraphs that describe options."""
    found = {}
    for tag, body in tagged(roff):
        for name in re.findall(r"(?:^|[ ,])--?([a-z][a-z0-9-]*)", tag):
            found[name] = body
    return found


# ---- the tables of the program

@functools.cache
def tables():
    """The output of `seawall help --tables`."""
    return json.loads(subprocess.run([PROGRAM, "help", "--tables"], capture_output=True, check=True).stdout)


def options():
    return tables()["options"]


def number(text):
    """A value as an operator writes it. None: it is not a value."""
    if text in ("yes", "no"):
        return int(text == "yes")
    parts = re.fullmatch(r"(\d+)([A-Za-z/]*)", text)
    return int(parts[1]) * UNITS[parts[2]] if parts and parts[2] in UNITS else None


def check_options(described):
    if not options():
        yield "seawall help --tables: no options"
    for option in options():
        name, default, limits = option["name"], option["default"], (number(option["min"]), number(option["max"]))
        body = described.get(name)
        if body is None:
            yield f"man/seawall.1: --{name} is missing under OPTIONS"
            continue
        says = re.search(r"Default: ([\w/]+)\.", body)
        if not says or number(says[1]) != number(default):
            yield f"man/seawall.1: --{name}: the default is {default}, the page says {says[1] if says else 'none'}"
        if option["yes_no"]:
            continue
        says = re.search(r"Range: ([\w/]+) to ([\w/]+)(, or never)?\.", body)
        if not says or (number(says[1]), number(says[2])) != limits:
            yield f"man/seawall.1: --{name}: the range is {option['min']} to {option['max']}, the page says {says[0] if says else 'none'}"
        elif bool(says[3]) != option["never"]:
            yield f"man/seawall.1: --{name}: whether 'never' is a value differs"
    for name in sorted(described.keys() - {option["name"] for option in options()}):
        yield f"man/seawall.1: --{name} under OPTIONS does not exist"


# ---- commands

def differences(what, flags, written):
    """`flags`: of the command. `written`: the names and letters in the page. A flag is there by its name or its letter."""
    for flag in flags:
        if not written & {flag["name"], flag.get("letter", "")}:
            yield f"{what}: '--{flag['name']}' is missing"
    for name in sorted(written - {flag.get(key) for flag in flags for key in ("name", "letter")}):
        yield f"{what}: there is no option '{name}'"


def synopsis_of(page, command):
    """The lines of SYNOPSIS for the command."""
    return "\n".join(line for line in plain(page).splitlines() if re.match(rf"seawall {command}\b", line))


def check_commands(parts):
    for command in tables()["commands"]:
        name, flags = command["name"], command["flags"]
        page = parts.get(f"seawall {name}")
        if page is None:
            yield f"man/seawall.1: no section 'seawall {name}'"
            continue
        yield from differences(f"man/seawall.1: seawall {name}", flags, set(options_in(page)))
        line = synopsis_of(parts.get("SYNOPSIS", ""), name)
        if not line:
            yield f"man/seawall.1: SYNOPSIS has no line for 'seawall {name}'"
        written = set(re.findall(r"(?<![\w-])--?([a-z][a-z0-9-]*)", line))
        yield from differences(f"man/seawall.1: SYNOPSIS of seawall {name}", [f for f in flags if f["name"] not in ("help", "version")], written)
    names = {f"seawall {command['name']}" for command in tables()["commands"]}
    for heading in parts:
        if heading.startswith("seawall ") and heading not in names:
            yield f"man/seawall.1: there is no command for the section '{heading}'"


# ---- messages

def check_exit_codes(section):
    codes = set(re.findall(r"(?m)^ *EXIT_\w+ = (\d+),", (ROOT / "src" / "cli" / "cli.h").read_text()))
    overview = " ".join(subprocess.run([PROGRAM, "help"], check=True, capture_output=True, text=True).stdout.split())
    named = set(re.findall(r"(?:: |; )(\d+) ", overview.partition("Exit codes")[2]))
    described = {tag for tag, _ in tagged(section)}
    for place, found in (("seawall help", named), ("man/seawall.1: EXIT STATUS", described)):
        for code in sorted(codes ^ found, key=int):
            yield f"{place}: exit code {code} is {'missing' if code in codes else 'not one of the program'}"
    if not codes:
        yield "src/cli/cli.h: no exit code found"


def check_messages(section):
    """The fixed parts of the messages that the page quotes must be in strings of src. A format can put words between them, so most
    pairs of neighbouring words have to be there, not all."""
    source = "\n".join(path.read_text() for path in sorted((ROOT / "src").glob("*/*.c")))
    source = re.sub(r'" *(?:PRI\w+)? *\n? *"', "", source).replace('\\"', '"')
    for line in re.findall(r"(?m)^\.TP\n\.(?:BI|B|BR) (.*)", section):
        words = [quoted or bare for quoted, bare in re.findall(r'"([^"]*)"|(\S+)', line)]
        for part in words[::2]:
            for text in re.split(r"\\f[RIB].*?\\fB|\\f[RIB]|\.\.\.|[()]", part):
                text = text.replace("\\-", "-").removeprefix("seawall: ").strip(" ':;,")
                words_of_it = text.split()
                pairs = [" ".join(pair) for pair in zip(words_of_it, words_of_it[1:])]
                if len(pairs) > 2 and text not in source and sum(pair in source for pair in pairs) < 0.65 * len(pairs):
                    yield f"man/seawall.1: DIAGNOSTICS quotes '{text}', which is not in src"


# ---- the keys of s3:// URLs, and the configuration file

def s3_table():
    """Yields name, kind, value name, default (None: the page must say one, whatever it is), range (None: none) of each key."""
    source = (ROOT / "src/s3/config.c").read_text()
    body = re.search(r"s3_options\[\] = \{(.*?)\n\};", source, re.S).group(1)
    macros = dict(re.findall(r"#define (\w+) (\d+)\n", source))
    initial = re.search(r"\*ret_config = \(struct s3_config\)\{(.*?)\};", source, re.S).group(1)
    defaults = {field: int(macros.get(value, value)) for field, value in re.findall(r"\.(\w+) = (\d+|[A-Z_]+)\b(?!\()", initial)
                if macros.get(value, value).isdigit()}
    for name, kind, field, values in re.findall(r'\{"([a-z0-9-]+)",\s*S3_(\w+),\s*FIELD\((\w+)\),\s*"([^"]+)",', body):
        limits = re.search(rf"case S3_{kind}:(?:(?!case).)*?>= (\d+)(?:(?!case).)*?<= (\d+)", source, re.S)
        default = None
        if kind == "CHOICE":
            default = values.split("|")[defaults.get(field, 0)]
        elif kind == "YES_NO":
            default = "yes" if defaults.get(field, 0) else "no"
        elif kind == "TIME":
            default = defaults.get(field)
        yield name, kind, values, default, limits and (int(limits[1]), int(limits[2]))


def check_s3(section):
    entries = list(s3_table())
    known = {key["name"] for store in tables()["stores"] for key in store["keys"]}
    described = {}
    for tag, body in tagged(section):
        name, _, values = tag.strip().partition("=")
        described[name] = (values.replace(" ", ""), body)
    if not entries:
        yield "src/s3/config.c: no entry of s3_options found; is it written in another way now?"
    for name in sorted(known ^ {e[0] for e in entries}):
        yield f"{name}: src/s3/config.c and `seawall help --tables` differ"
    for name, kind, values, default, limits in entries:
        if name not in described:
            yield f"man/seawall.1: {name} of src/s3/config.c is missing under S3 URLS"
            continue
        shown, body = described[name]
        if shown != values:
            yield f"man/seawall.1: {name}: the values are {values}, the page says {shown}"
        says = re.search(r"Default: (.+?)[.;,]", body)
        if not says:
            yield f"man/seawall.1: {name}: no default"
        elif default is not None and default not in (says[1], number(says[1])):
            yield f"man/seawall.1: {name}: the default is {default}, the page says {says[1]}"
        says = re.search(r"Range: (\w+) to (\w+)\.", body)
        if limits and (not says or (number(says[1]), number(says[2])) != limits):
            yield f"man/seawall.1: {name}: the range is {limits[0]} to {limits[1]}, the page says {says[0] if says else 'none'}"
    for name in sorted(described.keys() - {e[0] for e in entries}):
        yield f"man/seawall.1: {name} under S3 URLS is not in src/s3/config.c"


def words_of(roff):
    return set(re.findall(r"[a-z0-9-]+", plain(roff)))


def check_conf():
    """Each name must be in the right section of the page."""
    if not CONF.exists():
        yield "man/seawall.conf.5: is missing"
        return
    parts = sections(CONF.read_text())
    for heading, names in (("Options", [option["name"] for option in options()]), ("Replicas", [e[0] for e in s3_table()])):
        for name in sorted(set(names) - words_of(parts.get(heading, ""))):
            yield f"man/seawall.conf.5: '{name}' is missing under {heading}"


def check_sample():
    """Compares the names and the defaults. tests/e2e/test_sample_configuration.py lets the program read the file."""
    if not SAMPLE.exists():
        yield "etc/seawall.conf: is missing"
        return
    found, section = {}, ""
    for line in SAMPLE.read_text().splitlines():
        text = re.sub(r"^#(?! )", "", line)   # '#key' is a key that is left out, '# words' are words
        if text.startswith("["):
            section = text.strip("[]").split()[0]
        elif re.match(r"[a-z0-9-]+ = ", text):
            key, _, value = text.partition(" = ")
            found[section, key] = value
    for option in options():
        name, default = option["name"], option["default"]
        value = found.pop(("seawall", name), None)
        if value is None:
            yield f"etc/seawall.conf: '{name}' is missing in [seawall]"
        elif number(value) != number(default):
            yield f"etc/seawall.conf: '{name}' is {default} by default, not {value}"
    for name, *_ in s3_table():
        if found.pop(("replica", name), None) is None:
            yield f"etc/seawall.conf: '{name}' is missing in [replica]"
    names = {option["name"] for option in options()}
    for section, key in sorted(found.keys() - {("replica", "url"), ("db", "replica"), ("db", "exclude"), ("seawall", "control"), ("seawall", "listen"), ("seawall", "log-format")}):
        if section != "db" or key not in names:
            yield f"etc/seawall.conf: there is no '{key}' in [{section}]"


# ---- files

def check_links():
    for name in LINKED:
        path = ROOT / name
        if not path.exists():
            yield f"{name}: is missing"
            continue
        for line, text in enumerate(path.read_text().splitlines(), 1):
            for target in re.findall(r"\]\(([^)\s]+)\)", text):
                file = target.partition("#")[0]
                if file and not re.match(r"[a-z]+:", target) and not (path.parent / file).exists():
                    yield f"{name}:{line}: '{target}' leads nowhere"


def man_pages():
    return sorted((ROOT / "man").glob("*.[15]"))


def check_mandoc():
    if not shutil.which("mandoc"):
        print("lint: mandoc is not installed, man pages not checked")
        return
    for page in man_pages():
        run = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True, check=False)
        for line in (run.stdout + run.stderr).splitlines():
            yield line.replace(f"{ROOT}/", "")
        if run.returncode and not run.stdout + run.stderr:
            yield f"{page.name}: mandoc ends with {run.returncode}"


def check_quotes():
    for page in man_pages():
        for line, text in enumerate(page.read_text().splitlines(), 1):
            if re.match(r"\.[A-Z]", text) and text.count('"') % 2:
                yield f"man/{page.name}:{line}: a quote too many or too few"


def check_places():
    for path in [ROOT / name for name in LINKED] + man_pages():
        if not path.exists():
            continue
        for line, text in enumerate(path.read_text().splitlines(), 1):
            for place in re.findall(r"(?<![\w.])(?:/work\b|/root\b|/tmp/(?!seawall))\S*", text):
                yield f"{path.relative_to(ROOT)}:{line}: speaks of '{place}'"


def problems():
    if MAN.exists():
        parts = sections(MAN.read_text())
        yield from check_options(options_in(parts.get("OPTIONS", "")))
        yield from check_commands(parts)
        yield from check_s3(parts.get("S3 URLS", ""))
        yield from check_exit_codes(parts.get("EXIT STATUS", ""))
        for heading in ("INFO", "WARN", "ERROR", "At the end"):
            yield from check_messages(parts.get(heading, ""))
    else:
        yield "man/seawall.1: is missing"
    yield from check_conf()
    yield from check_sample()
    yield from check_links()
    yield from check_mandoc()
    yield from check_quotes()
    yield from check_places()


def main():
    if not os.access(PROGRAM, os.X_OK):
        print(f"lint: documentation: {PROGRAM} is missing: run 'make' first")
        return 1
    found = list(problems())
    for problem in found:
        print(problem)
    print(f"lint: documentation: {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
