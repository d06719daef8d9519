#!/usr/bin/env python3
"""Times whole commands on a ResNet152 file: wall time (median and best of the runs), peak memory.

usage: bench/whole_process.py [build/release/segue] [runs]
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def run(command):
    """Returns (seconds, peak resident bytes) of one run."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status != 0:
        sys.exit(f"failed: {' '.join(map(str, command))}")
    return seconds, usage.ru_maxrss * 1024


def main():
    segue = Path(sys.argv[1] if len(sys.argv) > 1 else "build/release/segue").resolve()
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 11
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        model = Path(folder, "resnet152.tflite")
        commands = {
            "zoo resnet152": [segue, "zoo", "resnet152", "-o", model],
            "plan --strategy balanced --tpus 8":
                [segue, "plan", model, "--strategy", "balanced", "--tpus", "8"],
            "plan --strategy balanced --tpus 8 --json":
                [segue, "plan", model, "--strategy", "balanced", "--tpus", "8", "--json"],
            "split --tpus 8": [segue, "split", model, "--tpus", "8", "-o", Path(folder, "parts")],
        }
        print("| command | median ms | best ms | peak MiB | MB/s (model bytes, median) |")
        print("|---|--:|--:|--:|--:|")
        for name, command in commands.items():
            results = [run(command) for _ in range(runs)]
            size = model.stat().st_size
            median = statistics.median(seconds for seconds, _ in results)
            best = min(seconds for seconds, _ in results)
            peak = max(memory for _, memory in results)
            print(f"| `{name}` | {median * 1e3:.1f} | {best * 1e3:.1f} | {peak / 2**20:.1f} "
                  f"| {size / median / 1e6:.0f} |")
        print(f"\nmodel file: {model.stat().st_size / 2**20:.1f} MiB, {runs} runs")


if __name__ == "__main__":
    main()
