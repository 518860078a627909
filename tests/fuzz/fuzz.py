#!/usr/bin/env python3
"""Runs fuzzers under libFuzzer, and keeps the inputs that they find.

    tests/fuzz/fuzz.py run [--seconds N] [--jobs N] NAME ...     looks for new inputs; exits with 1 after a crash
    tests/fuzz/fuzz.py keep [--jobs N] NAME ...                  writes tests/fuzz/corpus/NAME

`run` begins with the seeds of each fuzzer, its corpus in the tree, and the inputs that earlier runs found (build/fuzz/found/NAME). It prints
how many inputs it tried, and how many edges of the program they reached. Inputs that fail are in build/fuzz/crashes/.

`keep` chooses the fewest inputs that reach, together with the seeds, all code that any input reaches; it prefers small ones. It does not
write the seeds, because the fuzzer makes them. `make fuzz` and `make fuzz-keep` build first."""
import argparse
import base64
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests" / "fuzz" / "corpus"
WORK = ROOT / "build" / "fuzz"
INPUT_MAX, KEPT_BYTES_MAX = 16384, 65536     # bytes of one input; of a corpus, before base64
MEMORY_MB, ONE_INPUT_S = 2048, 60
STATE = re.compile(r"^#\d+\s+(INITED|DONE)\s+cov: (\d+) ft: (\d+) corp: (\d+)", re.M)
EXECUTED = re.compile(r"^stat::number_of_executed_units: (\d+)", re.M)


def program(name, variant=""):
    return str(ROOT / "build" / variant / "tests" / f"fuzz_{name}")


def folder(*parts):
    path = WORK.joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


def write_seeds(name, to):
    subprocess.run([program(name), "--write", str(to)], cwd=ROOT, check=True)


def libfuzzer(name, *arguments):
    """Returns the output of libFuzzer, and whether it failed. Output of the fuzzer itself is closed: some run commands, which print."""
    environment = {**os.environ, "ASAN_OPTIONS": "allocator_may_return_null=1:detect_leaks=1"}
    ended = subprocess.run([program(name, "fuzz"), f"-max_len={INPUT_MAX}", f"-timeout={ONE_INPUT_S}", f"-rss_limit_mb={MEMORY_MB}",
                            f"-artifact_prefix={folder('crashes')}/{name}-", "-close_fd_mask=3", *map(str, arguments)],
                           cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return ended.stderr.decode(errors="replace"), ended.returncode != 0


def edges(text, moment):
    found = [match.group(2) for match in STATE.finditer(text) if match.group(1) == moment]
    return int(found[-1]) if found else 0


def run(name, seconds):
    """Returns {name, seeds, before, after, found, executed, failed, text}. `seeds`: edges that the seeds reach; `before`: also the corpus;
    `after`: also the run."""
    found = folder("found", name)
    with tempfile.TemporaryDirectory(dir=folder("work")) as work:
        seeds = pathlib.Path(work)
        write_seeds(name, seeds)
        for path in seeds.glob("corpus-*"):
            path.rename(found / path.name)
        alone, _ = libfuzzer(name, "-runs=0", seeds)
        text, failed = libfuzzer(name, f"-max_total_time={seconds}", "-print_final_stats=1", "-reload=0", found, seeds)
    executed = EXECUTED.search(text)
    (folder("logs") / f"{name}.log").write_text(text)
    return {"name": name, "seeds": edges(alone, "INITED"), "before": edges(text, "INITED"), "after": edges(text, "DONE"),
            "found": len(list(found.iterdir())), "executed": int(executed.group(1)) if executed else 0, "failed": failed, "text": text}


def row(*cells):
    print("{:<14}{:>14}{:>9}{:>9}{:>9}{:>9}  {}".format(*cells), flush=True)


def run_all(names, seconds, jobs):
    row("fuzzer", "executions", "seeds", "corpus", "after", "found", "")
    total, failures = 0, []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for ended in concurrent.futures.as_completed([pool.submit(run, name, seconds) for name in names]):
            r = ended.result()
            row(r["name"], f'{r["executed"]:,}', r["seeds"], r["before"], r["after"], r["found"], "FAILED" if r["failed"] else "")
            total += r["executed"]
            failures += [r] if r["failed"] else []
    row("all", f"{total:,}", "", "", "", "", "")
    for r in failures:
        print(f'---- {r["name"]}\n{r["text"][-6000:]}\n---- the input is in {WORK}/crashes; see it alone: {program(r["name"])} --file FILE')
    return 1 if failures else 0


def keep(name):
    """Returns (name, inputs, bytes) of the corpus that was written."""
    with tempfile.TemporaryDirectory(dir=folder("work")) as work:
        chosen = pathlib.Path(work, "chosen")
        others = pathlib.Path(work, "others")
        chosen.mkdir()
        others.mkdir()
        write_seeds(name, chosen)
        seeds = {path.read_bytes() for path in chosen.glob("seed-*")}
        for path in chosen.glob("corpus-*"):
            shutil.move(path, others / path.name)
        text, failed = libfuzzer(name, "-merge=1", "-set_cover_merge=1", chosen, others, folder("found", name))
        if failed:
            raise SystemExit(f"fuzz: {name}: the merge failed\n{text[-3000:]}")
        inputs = sorted((path.read_bytes() for path in chosen.iterdir()), key=lambda data: (len(data), data))
    kept, size = [], 0
    for data in inputs:
        if data and data not in seeds and size + len(data) <= KEPT_BYTES_MAX:
            kept.append(base64.b64encode(data).decode())
            size += len(data)
    CORPUS.mkdir(exist_ok=True)
    (CORPUS / name).write_text("".join(line + "\n" for line in kept))
    return name, len(kept), size


def keep_all(names, jobs):
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for name, count, size in pool.map(keep, names):
            print(f"{name:<14}{count:>6} inputs{size:>8} bytes", flush=True)
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "keep"))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("names", nargs="+")
    options = parser.parse_args()
    if options.what == "keep":
        return keep_all(options.names, options.jobs)
    return run_all(options.names, options.seconds, options.jobs)


if __name__ == "__main__":
    sys.exit(main())
