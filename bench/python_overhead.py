#!/usr/bin/env python3
"""What Python adds to an inference: single inputs through a pipeline and back, from C++ and from Python in turns, as
medians of many. Of each round trip the pipeline's own latency is taken off, which varies more than what is looked for:
what is left is the call to push and the way from the finished result to the caller.

    build/venv/bin/python bench/python_overhead.py build/release/bench/round_trips

The last rows write over 64 MiB before each round trip, as long computations do: what both sides then need comes from
memory.
"""

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


def python_outside(folder, runtime, displaced):
    outside = []
    other = np.zeros(displaced, np.uint8)
    backend = segue.cpu_backend(runtime=runtime)
    with segue.Pipeline(folder, backends=backend) as pipeline:
        port = pipeline.inputs[0]
        value = np.random.default_rng(1).integers(-128, 128, port.shape, dtype=np.int8)
        for i in range(INPUTS):
            other.fill(i % 256)
            begin = time.perf_counter_ns()
            pipeline.push(value)
            result = pipeline.pop()
            outside.append(time.perf_counter_ns() - begin - result.latency_ns)
    return statistics.median(outside)


def cpp_outside(program, folder, runtime, displaced):
    done = subprocess.run([program, folder, runtime, str(INPUTS), str(displaced)], capture_output=True, text=True,
                          check=True)
    return [float(number) for number in done.stdout.split()]


def main():
    program = sys.argv[1]
    runtime = Path(segue.__file__).parent / "libtensorflowlite_c.so"
    print(f"us, medians of {TURNS} turns of {INPUTS} inputs\n"
          "model           input bytes  displaced MiB  round trip  outside, C++  outside, Python  Python adds")
    for name, tpus, displaced in (("dense4-n64", 1, 0), ("dense4-n64", 3, 0), ("dense4-n512", 2, 0),
                                  ("mobilenetv2@48", 2, 0), ("dense4-n64", 1, 64 << 20), ("dense4-n64", 3, 64 << 20)):
        with tempfile.TemporaryDirectory() as folder:
            model = segue.open_model("zoo:" + name)
            segue.split(model, segue.plan(model, tpus), folder)
            turns = [(*cpp_outside(program, folder, runtime, displaced), python_outside(folder, runtime, displaced))
                     for _ in range(TURNS)]
        trip, cpp, python = (statistics.median(column) / 1000 for column in zip(*turns))
        print(f"{name + ' on ' + str(tpus):18} {model.inputs[0].nbytes:9}  {displaced >> 20:13}  {trip:10.1f}  {cpp:12.1f}  {python:15.1f}  "
              f"{python - cpp:11.1f}")


if __name__ == "__main__":
    main()
