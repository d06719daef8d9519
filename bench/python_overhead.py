#!/usr/bin/env python3
"""What Python adds to an inference: single inputs through a pipeline and back, from C++ and from Python in turns, as
medians of many. One input of 4 KiB is small, one of 1 MiB would show a copy (about 100 us).

    build/venv/bin/python bench/python_overhead.py build/release/bench/round_trips
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import segue

TURNS = 7
INPUTS = 3000


def python_round_trips(folder, runtime):
    times = []
    backend = segue.cpu_backend(runtime=runtime)
    with segue.Pipeline(folder, backends=backend) as pipeline:
        port = pipeline.inputs[0]
        value = np.random.default_rng(1).integers(-128, 128, port.shape, dtype=np.int8)
        for _ in range(INPUTS):
            begin = time.perf_counter_ns()
            pipeline.push(value)
            pipeline.pop()
            times.append(time.perf_counter_ns() - begin)
    return statistics.median(times)


def runner_round_trips(folder):
    from segue.pipelined_model_runner import PipelinedModelRunner, make_interpreter

    files = sorted(Path(folder).glob("*.tflite"))
    times = []
    runner = PipelinedModelRunner([make_interpreter(str(f), "cpu") for f in files])
    details = runner.interpreters()[0].get_input_details()[0]
    value = np.zeros(details["shape"], dtype=details["dtype"])
    for _ in range(INPUTS):
        begin = time.perf_counter_ns()
        runner.push({details["name"]: value})
        runner.pop()
        times.append(time.perf_counter_ns() - begin)
    return statistics.median(times)


def cpp_round_trips(program, folder, runtime):
    return float(subprocess.run([program, folder, runtime, str(INPUTS)], capture_output=True, text=True,
                                check=True).stdout)


def main():
    program = sys.argv[1]
    runtime = Path(segue.__file__).parent / "libtensorflowlite_c.so"
    print("model             C++ us  Python us  more us  runner us  more us  (medians of "
          f"{TURNS} turns of {INPUTS} inputs)")
    for name, tpus in (("dense4-n64", 1), ("dense4-n64", 3), ("dense4-n512", 2)):
        with tempfile.TemporaryDirectory() as folder:
            model = segue.open_model("zoo:" + name)
            segue.split(model, segue.plan(model, tpus), folder)
            turns = [(cpp_round_trips(program, folder, runtime), python_round_trips(folder, runtime),
                      runner_round_trips(folder)) for _ in range(TURNS)]
        cpp, python, runner = (statistics.median(column) / 1000 for column in zip(*turns))
        print(f"{name + ' on ' + str(tpus):16}  {cpp:6.1f}  {python:9.1f}  {python - cpp:7.1f}  {runner:9.1f}  "
              f"{runner - cpp:7.1f}")


if __name__ == "__main__":
    main()
