"""How long posctl takes on Windows, or under Wine, by each command line given, one after the other,
N times: `python benchmarks/windows_start.py N "posctl.exe --version"…`; `{n}` in a line is a number
of its own each time. The shortest and the median, in seconds, and their ratios to those of the
first line. Wine's own figures say nothing of Windows; the ratios say a little.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time


def took_s(command: str) -> float:
    line = command.format(n=time.time_ns())
    began_s = time.perf_counter()
    subprocess.run(line, stdin=subprocess.PIPE, capture_output=True, check=True)
    return time.perf_counter() - began_s


def main() -> None:
    rounds, commands = int(sys.argv[1]), sys.argv[2:]
    for command in commands:
        print(f"first of all: {took_s(command):.2f} s {command}")
    seconds: dict[str, list[float]] = {command: [] for command in commands}
    for _n in range(rounds):
        for command in commands:
            seconds[command].append(took_s(command))
    first = seconds[commands[0]]
    for command, each in seconds.items():
        least, middle = min(each), statistics.median(each)
        ratios = f"{least / min(first):.2f}, {middle / statistics.median(first):.2f}"
        print(f"{least:.2f} s, median {middle:.2f} s; ratios {ratios}: {command}")


if __name__ == "__main__":
    main()
