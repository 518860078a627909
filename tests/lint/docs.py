#!/usr/bin/env python3
"""What the documentation says against what the program does:

  - each option of src/config/options.c stands in man/seawall.1, with its default and its range;
  - each key of src/s3/config.c stands under S3 URLS in man/seawall.1, with its values, its default and its range;
  - man/seawall.conf.5 names all options and keys, and so does etc/seawall.conf, with the defaults of the options;
  - each option that a command of src/cli accepts stands in the man page's section of the command and in its `help`, and the other way round;
  - the messages that the man page quotes under DIAGNOSTICS are in src;
  - links in the pages of Markdown lead to files that exist;
  - mandoc has nothing to warn of in the man pages;
  - no page speaks of the places where the program happens to be developed.

Exits 1 and names each thing that is wrong."""
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAN = ROOT / "man" / "seawall.1"
CONF = ROOT / "man" / "seawall.conf.5"
SAMPLE = ROOT / "etc" / "seawall.conf"
LINKED = ["README.md", "src/README.md", "docs/figures.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
ALWAYS = {"help", "h"}  # `help` need not say how to ask for it
CONSTANTS = {"GIB": 1 << 30, "DAY": 86400000, "HOUR": 3600000, "AGE_MAX": 100 * 365 * 86400000, "KEEP_MAX": 100000, "UINT32_MAX": (1 << 32) - 1, "true": True, "false": False}
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "ms": 1, "s": 1000, "m": 60000, "h": 3600000, "d": 86400000, "/s": 3600, "/m": 60, "/h": 1, "": 1}


# ---- the man page, without its markup

def plain(roff):
    """The words of a piece of roff source: requests, font changes and escapes taken out."""
    lines = []
    for line in roff.splitlines():
        if line.startswith('.\\"'):
            continue
        joined = re.match(r"\.(BR|RB|BI|IB|IR|RI) (.*)", line)
        if joined:  # alternating fonts: the words stand without blanks in between
            words = re.findall(r'"([^"]*)"|(\S+)', joined.group(2))
            line = "".join(quoted or bare for quoted, bare in words)
        else:
            line = re.sub(r"^\.[A-Z]+ ?", "", line).replace('"', "")
        lines.append(re.sub(r"\\f[A-Z]", "", line).replace("\\-", "-").replace("\\(bu", "*").replace("\\&", ""))
    return "\n".join(lines)


def sections(roff):
    """Heading -> source, for .SH and .SS alike; what stands under an .SS is not part of the .SH above it."""
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
        for name in re.findall(r"(?:^|[ ,])--?([a-z][a-z-]*)", tag):
            found[name] = body
    return found


# ---- the table of options

def evaluate(text):
    """The C constants that the table is written with."""
    text = re.sub(r"UINT64_C\((\w+)\)", r"\1", text.strip())
    if not re.fullmatch(r"[\w\s<()*+-]+", text):
        raise ValueError(f"can't read '{text}'")
    return eval(text, {"__builtins__": {}}, CONSTANTS)


def table():
    """Yields name, kind, default, min, max, may_never of each entry."""
    source = (ROOT / "src/config/options.c").read_text()
    body = re.search(r"option_table\[\] = \{(.*?)\n\};", source, re.S).group(1)
    entry = re.compile(r'\{"([a-z-]+)",\s*OPTION_(\w+),\s*FIELD\(\w+\),\s*([^,]+),\s*([^,]+),\s*([^,]+),\s*(true|false),')
    for name, kind, *numbers in entry.findall(body):
        yield (name, kind, *map(evaluate, numbers))


def number(text):
    """A value as an operator writes it; None: it is none."""
    if text in ("yes", "no"):
        return int(text == "yes")
    parts = re.fullmatch(r"(\d+)([A-Za-z/]*)", text)
    return int(parts[1]) * UNITS[parts[2]] if parts and parts[2] in UNITS else None


def check_table(described):
    entries = list(table())
    if not entries:
        yield "src/config/options.c: no entry of option_table found; is it written in another way now?"
    for name, kind, default, low, high, never in entries:
        body = described.get(name)
        if body is None:
            yield f"man/seawall.1: --{name} of src/config/options.c is missing under OPTIONS"
            continue
        says = re.search(r"Default: ([\w/]+)\.", body)
        if not says or number(says[1]) != default:
            yield f"man/seawall.1: --{name}: the default is {default}, the page says {says[1] if says else 'none'}"
        if kind == "YES_NO":
            continue
        says = re.search(r"Range: ([\w/]+) to ([\w/]+)(, or never)?\.", body)
        if not says or (number(says[1]), number(says[2])) != (low, high):
            yield f"man/seawall.1: --{name}: the range is {low} to {high}, the page says {says[0] if says else 'none'}"
        elif bool(says[3]) != never:
            yield f"man/seawall.1: --{name}: whether 'never' is a value differs"
    for name in sorted(described.keys() - {e[0] for e in entries}):
        yield f"man/seawall.1: --{name} under OPTIONS is not in src/config/options.c"


# ---- commands

def check_commands(parts):
    help_texts = dict(re.findall(r"char (\w+)_help\[\] =(.*?);\n", (ROOT / "src/cli/help.c").read_text(), re.S))
    for path in sorted((ROOT / "src/cli").glob("*.c")):
        command = path.stem
        accepted = set(re.findall(r'(?:strcmp\(args\.name, |args_flag\(&args, )"([^"]+)"\)', path.read_text()))
        if not accepted:
            continue
        page = parts.get(f"seawall {command}")
        if page is None:
            yield f"man/seawall.1: no section 'seawall {command}'"
            continue
        described = set(options_in(page))
        helped = set(re.findall(r"(?:^|[\s\"\[,])--?([a-z][a-z-]*)", help_texts.get(command, "")))
        for name in sorted(accepted - described):
            yield f"man/seawall.1: option '{name}' of 'seawall {command}' is missing"
        for name in sorted(described - accepted):
            yield f"man/seawall.1: 'seawall {command}' has no option '{name}'"
        for name in sorted(accepted - helped - ALWAYS):
            yield f"src/cli/help.c: option '{name}' of 'seawall {command}' is missing"
        for name in sorted(helped - accepted):
            yield f"src/cli/help.c: 'seawall {command}' has no option '{name}'"


# ---- messages

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
    described = {}
    for tag, body in tagged(section):
        name, _, values = tag.strip().partition("=")
        described[name] = (values.replace(" ", ""), body)
    if not entries:
        yield "src/s3/config.c: no entry of s3_options found; is it written in another way now?"
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
    """Each name must stand in the section of the page where it belongs."""
    if not CONF.exists():
        yield "man/seawall.conf.5: is missing"
        return
    parts = sections(CONF.read_text())
    for heading, names in (("Options", [e[0] for e in table()]), ("Replicas", [e[0] for e in s3_table()])):
        for name in sorted(set(names) - words_of(parts.get(heading, ""))):
            yield f"man/seawall.conf.5: '{name}' is missing under {heading}"


def check_sample():
    """Whether it parses with all its comments taken away is for tests/e2e/test_sample_configuration.py."""
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
    for name, _, default, *_ in table():
        value = found.pop(("seawall", name), None)
        if value is None:
            yield f"etc/seawall.conf: '{name}' is missing in [seawall]"
        elif number(value) != default:
            yield f"etc/seawall.conf: '{name}' is {default} by default, not {value}"
    for name, *_ in s3_table():
        if found.pop(("replica", name), None) is None:
            yield f"etc/seawall.conf: '{name}' is missing in [replica]"
    options = {e[0] for e in table()}
    for section, key in sorted(found.keys() - {("replica", "url"), ("db", "replica")}):
        if section != "db" or key not in options:
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
            for place in re.findall(r"(?<![\w.])(?:/work\b|/root\b|/tmp/)\S*", text):
                yield f"{path.relative_to(ROOT)}:{line}: speaks of '{place}'"


def problems():
    if MAN.exists():
        parts = sections(MAN.read_text())
        yield from check_table(options_in(parts.get("OPTIONS", "")))
        yield from check_commands(parts)
        yield from check_s3(parts.get("S3 URLS", ""))
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
    found = list(problems())
    for problem in found:
        print(problem)
    print(f"lint: documentation: {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
