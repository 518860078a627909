#!/usr/bin/env python3
"""One word, one meaning; and plain English stays.

  - each word of the glossary in src/README.md is used in src, and each place that the glossary names exists;
  - wording that this project gave up is not in the README, the man pages, docs/ and the other pages, and not in comments of tests/;
  - in src that wording is counted. The count may go down, never up: CEILING is the last count.

Exits 1 and names each thing that is wrong."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOUR = ROOT / "src" / "README.md"
PAGES = ["*.md", "docs/*.md", "man/*.[15]", "etc/*", "src/README.md"]
SOURCES = ["src/*/*.c", "src/*/*.h", "include/*/*.h"]
TESTS = ["tests/**/*.py", "tests/**/*.[ch]", "tests/**/*.tcl", "Makefile", ".ci/run"]
CEILING = 34  # lower it when the lint says so

# Given up: why, or what to write instead.
GIVEN_UP = {
    r"anew": "again, a new",
    r"(?:is|are|was|were|be|been) told": "is logged, is reported, says",
    r"no such": "a missing X, there is no X",
    r"whoever": "name the thing",
    r"somebody": "another process, another writer, a person",
    r"stands?": "is, is written",
    r"such an?": "name the thing",
    r"of these, the": "two sentences",
    r"(?<!there )(?<!there's )is no (?!longer\b|more\b)\w+": "is not a",
    r"makes no sense": "malformed",
}
PATTERN = re.compile(r"\b(?:" + "|".join(GIVEN_UP) + r")\b", re.I)
# Lines and words of a page that quote the program.
QUOTED = re.compile(r"^\.(?:B|BI|BR|RB|IB)\b|```|`[^`]*`")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def glossary():
    """Yields (word, [places]) of each row."""
    text = TOUR.read_text().partition("\n## Glossary\n")[2]
    for word, places in re.findall(r"(?m)^\| \*\*(.+?)\*\* \| .*? \| (\[.+?\)) \|", text):
        yield word, re.findall(r"\]\((.+?)\)", places)


def check_glossary():
    rows = list(glossary())
    if not rows:
        yield "src/README.md: no row of the glossary found"
    source = "\n".join(path.read_text() for pattern in SOURCES for path in sorted(ROOT.glob(pattern)))
    for word, places in rows:
        name = re.escape(word).replace(r"\ ", "[ _-]").replace(r"\-", "[ _-]?")
        if not re.search(rf"(?i)(?<![a-z]){name}(?:s|es|ed)?(?![a-z])", source):
            yield f"src/README.md: '{word}' of the glossary is not used in src"
        for place in places:
            if not (ROOT / "src" / place).exists():
                yield f"src/README.md: '{word}' of the glossary: '{place}' does not exist"


def hits(path):
    """Yields (line number, wording). Code blocks and quotations of the program do not count in pages."""
    page, code = path.suffix in (".md", ".1", ".5"), False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if page and line.startswith("```"):
            code = not code
        if page:
            line = "" if code else QUOTED.sub("", line) if path.suffix == ".md" else "" if QUOTED.match(line) else line
        for match in PATTERN.finditer(line):
            yield number, match[0]


def files(patterns):
    return [path for pattern in patterns for path in sorted(ROOT.glob(pattern)) if path.is_file()]


def check_pages():
    for path in files(PAGES):
        if path != TOUR:
            for number, wording in hits(path):
                yield f"{path.relative_to(ROOT)}:{number}: '{wording}' was given up"


def check_tests():
    """Strings do not count: they are input, and messages of the system."""
    for path in files(TESTS):
        if path != pathlib.Path(__file__).resolve():
            for number, line in enumerate(path.read_text().splitlines(), 1):
                for match in PATTERN.finditer(STRING.sub("", line.replace('"""', ""))):
                    yield f"{path.relative_to(ROOT)}:{number}: '{match[0]}' was given up"


def check_sources():
    found = [(path, number, wording) for path in files(SOURCES) + [TOUR] for number, wording in hits(path)]
    if "--show" in sys.argv:
        for path, number, wording in found:
            print(f"{path.relative_to(ROOT)}:{number}: {wording}")
    if len(found) > CEILING:
        yield f"src: wording that was given up is there {len(found)} times, at most {CEILING} are allowed; words.py --show lists them"
    else:
        print(f"lint: wording in src that was given up: {len(found)} of at most {CEILING}")


def main():
    problems = [*check_glossary(), *check_pages(), *check_tests(), *check_sources()]
    for problem in problems:
        print(problem)
    print(f"lint: words: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
