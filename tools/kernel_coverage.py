"""Says which lines of the kernel the tests have reached: what gcov counted, by lines of the Cython sources.

``make coverage`` compiles the kernel with ``--coverage`` from C that names its Cython lines. A line counts as
reached if any of the C that it became was.
"""

import argparse
import gzip
import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path


def counts(objects: Path, sources: Path) -> dict[str, dict[int, int]]:
    """Return how often each line of each source was reached, by what gcov has counted in a folder."""
    found: dict[str, dict[int, int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for data in objects.resolve().rglob("*.gcda"):
            subprocess.run(
                ["gcov", "--json-format", str(data)], cwd=folder, check=True, stdout=subprocess.DEVNULL
            )
        for report in Path(folder).glob("*.gcov.json.gz"):
            with gzip.open(report, "rt", encoding="utf-8") as file:
                whole = json.load(file)
            for source in whole["files"]:
                name = named(source["file"], sources)
                if name:
                    lines = found.setdefault(name, {})
                    for line in source["lines"]:
                        number = line["line_number"]
                        lines[number] = max(lines.get(number, 0), line["count"])
    return found


def named(file: str, sources: Path) -> str:
    """Return the name of a source of the kernel below `sources`, or "" for any other file."""
    path = Path(file)
    for root in (sources, sources / "twonn", sources / "twonn" / "_kernel", sources.parent):
        if (root / path).suffix in (".pyx", ".pxi", ".h", ".pxd") and (root / path).is_file():
            inside = (root / path).resolve()
            if inside.is_relative_to(sources.resolve()):
                return str(inside.relative_to(sources.resolve()))
    return ""


def ranges(numbers: list[int]) -> str:
    """Return ascending numbers with runs of them shortened: 3, 5-8."""
    runs = [
        [number for _, number in group]
        for _, group in itertools.groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    ]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def main() -> int:
    """Print a line for each file, and one for all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("objects", type=Path, help="where the compiler has put its objects")
    parser.add_argument("sources", type=Path, help="the folder src that was compiled")
    arguments = parser.parse_args()
    found = counts(arguments.objects, arguments.sources)
    if not found:
        print("kernel_coverage: nothing was counted", file=sys.stderr)
        return 1
    lines = reached = 0
    for name, numbers in sorted(found.items()):
        missed = sorted(number for number, count in numbers.items() if not count)
        lines, reached = lines + len(numbers), reached + len(numbers) - len(missed)
        print(f"{name:40} {len(numbers):5} lines, {1 - len(missed) / len(numbers):6.1%}   {ranges(missed)}")
    print(f"kernel: {reached} of {lines} lines, {reached / lines:.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
