#!/usr/bin/env python3
"""Measures the overhead of Python. Single inputs pass a pipeline, from C++ and from Python in turns; results are
medians. The pipeline's own latency, which varies more than the overhead, is subtracted from each round trip. The rest
is the call to push and the way from the finished result to the caller.

For comparison, the program measures a Python statement without Segue after each pop. In a separate loop this statement
takes some 6 us. After waiting while other threads computed, a thread finds neither its code nor its data in the caches.

    build/venv/bin/python bench/python_overhead.py build/release/bench/round_trips
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import segue

TURNS = 5
INPUTS = 500


def unrelated():
    begin = time.perf_counter_ns()
    json.dumps(json.loads('{"a": [1, 2, 3], "b": "text", "c": {"d": 1.5}}'))
    return time.perf_counter_ns() - begin


def python_outside(folder, runtime):
    outside, others = [], []
    backend = segue.cpu_backend(runtime=runtime)
    with segue.Pipeline(folder, backends=backend) as pipeline:
        port = pipeline.inputs[0]
        value = np.random.default_rng(1).integers(-128, 128, port.shape, dtype=np.int8)
        for _ in range(INPUTS):
            begin = time.perf_counter_ns()
            pipeline.push(value)
            result = pipeline.pop()
            outside.append(time.perf_counter_ns() - begin - result.latency_ns)
            others.append(unrelated())
    return statistics.median(outside), statistics.median(others)


def cpp_outside(program, folder, runtime):
    done = subprocess.run([program, folder, runtime, str(INPUTS)], capture_output=True, text=True, check=True)
    return [float(number) for number in done.stdout.split()]


def main():
    program = sys.argv[1]
    runtime = Path(segue.__file__).parent / "libtensorflowlite_c.so"
    alone = statistics.median(unrelated() for _ in range(TURNS * INPUTS)) / 1000
    print(f"us, medians of {TURNS} turns of {INPUTS} inputs; the unrelated statement alone {alone:.1f}\n"
          "model           input bytes  round trip  outside, C++  outside, Python  Python adds  unrelated")
    for name, tpus in (("dense4-n64", 1), ("dense4-n64", 3), ("dense4-n512", 2), ("mobilenetv2@48", 2)):
        with tempfile.TemporaryDirectory() as folder:
            model = segue.open_model("zoo:" + name)
            segue.split(model, segue.plan(model, tpus), folder)
            turns = [(*cpp_outside(program, folder, runtime), *python_outside(folder, runtime)) for _ in range(TURNS)]
        trip, cpp, python, other = (statistics.median(column) / 1000 for column in zip(*turns))
        print(f"{name + ' on ' + str(tpus):18} {model.inputs[0].nbytes:9}  {trip:10.1f}  {cpp:12.1f}  {python:15.1f}  "
              f"{python - cpp:11.1f}  {other:9.1f}")


if __name__ == "__main__":
    main()
