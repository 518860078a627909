#!/usr/bin/env python3
"""The rules of the tests' own code:

  - no test module imports another test module: helpers are in tests/support;
  - a module in tests/e2e is a test, or is conftest.py;
  - no C file of tests/ includes a .c file of another test;
  - no test module calls time.sleep: waiting.py has what waits for an event, with a deadline;
  - links in tests/README.md lead to files that exist;
  - no Python file of tests/ imports a name that it does not use;
  - no function of a Python file hides an earlier one of the same name: of two tests with one name only the last would run.

Exits 1 and names each line that breaks a rule."""
import ast
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
INCLUDE = re.compile(r'\s*#\s*include\s+[<"]([^>"]+\.c)[>"]')


def modules():
    return sorted(TESTS.rglob("*.py"))


def imports(tree):
    """Yields (line, module, names that the import defines)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, [(alias.asname or alias.name).split(".")[0]]
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or "", [alias.asname or alias.name for alias in node.names]


def test_modules_that_import_tests():
    for path in modules():
        for line, module, _ in imports(ast.parse(path.read_text())):
            if any(part.startswith("test_") for part in module.split(".")):
                yield f"{path.relative_to(ROOT)}:{line}: imports {module}: what tests share is in tests/support"


def helpers_among_tests():
    for path in sorted((TESTS / "e2e").rglob("*.py")):
        if not path.name.startswith("test_") and path.name != "conftest.py":
            yield f"{path.relative_to(ROOT)}: is not a test: move it to tests/support"


def sources_that_include_sources():
    for path in sorted(TESTS.rglob("*.[ch]")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            included = INCLUDE.match(line)
            if included:
                yield f"{path.relative_to(ROOT)}:{number}: includes {included.group(1)}: what tests share is in tests/support"


def sleeps():
    for path in sorted((TESTS / "e2e").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("time.sleep", "sleep"):
                yield f"{path.relative_to(ROOT)}:{node.lineno}: sleeps: wait for the event (waiting.wait_until), or say why (waiting.let_pass)"


def dead_links():
    page = TESTS / "README.md"
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        if not (page.parent / link).exists():
            yield f"tests/README.md: links to {link}, which does not exist"


def unused_imports():
    for path in modules():
        text = path.read_text()
        tree = ast.parse(text)
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        for line, module, names in imports(tree):
            for name in names:
                if name not in used and "noqa: F401" not in text.splitlines()[line - 1]:
                    yield f"{path.relative_to(ROOT)}:{line}: imports {name} and does not use it"


def hidden_functions():
    for path in modules():
        for scope in ast.walk(ast.parse(path.read_text())):
            seen = set()
            for node in getattr(scope, "body", []) if isinstance(scope, (ast.Module, ast.ClassDef)) else []:
                if isinstance(node, ast.FunctionDef):
                    if node.name in seen:
                        yield f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} hides an earlier function of this name"
                    seen.add(node.name)


def main():
    rules = (test_modules_that_import_tests, helpers_among_tests, sources_that_include_sources, sleeps, dead_links, unused_imports,
             hidden_functions)
    found = [problem for rule in rules for problem in rule()]
    for problem in found:
        print(problem)
    print(f"lint: tests: {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
