"""`python -m segue.cluster`, and `segue cluster`: plans and sweeps on a Ray cluster."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any, Iterator

import numpy as np

import segue
from segue.arguments import add_run_options, finish_run_options
from segue.element_types import dtype_of
from segue.errors import Error

try:
    from segue.cluster.pipeline import BACKENDS, ClusterPipeline
    from segue.cluster.statistics import DeviceLoss, PipelineStatistics
    from segue.cluster.sweeping import sweep_lines
    from segue.cluster.topology import topology_of_cluster
    from segue.cluster.workers import RESOURCES, connect
except ModuleNotFoundError as missing:
    if missing.name != "ray":
        raise
    sys.exit("segue cluster: error: ray is missing; install the wheel with [cluster]")

DESCRIPTION = "Run a plan, or a sweep, on the hosts of a Ray cluster (docs/cluster.md)"
STATUS = {
    "infeasible": 4, "compiler": 5, "device": 6, "mismatch": 7, "invalid_argument": 2,
    "invalid_model": 3, "unsupported": 3,
}  # fmt: skip


def main(words: list[str] | None = None) -> int:
    options = parse_options(words)
    try:
        status: int = options.command(options)
        return status
    except Error as error:
        print(f"segue cluster: error: {error}", file=sys.stderr)
        return STATUS.get(error.code, 1)
    except OSError as error:
        print(f"segue cluster: error: {error}", file=sys.stderr)
        return 1


def parse_options(words: list[str] | None) -> argparse.Namespace:
    """Ends the program with status 2 if the options do not fit."""
    parser = _parser()
    options = parser.parse_args(words)
    if options.command is _run:
        finish_run_options(parser, options)
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="segue cluster", description=DESCRIPTION)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="random inputs through a plan; prints statistics")
    run.set_defaults(command=_run)
    add = run.add_argument
    add("source", metavar="PLAN", help="a plan.json (with --model), or a folder of segments")
    add("--model", help="the model of the plan; with it, a new plan is made after a loss")
    add("--inputs", type=_positive, default=100, help="number of inputs (default %(default)s)")
    add("--seed", type=int, default=1, help="of the random inputs (default %(default)s)")
    add("--backend", choices=BACKENDS, default="cpu", help="what computes (default %(default)s)")
    add_run_options(run)
    add("--compiler-cmd", metavar="CMD", help="edgetpu_compiler, for a plan on Edge TPUs")
    add("--json", action="store_true", help="print JSON")
    sweep = commands.add_parser("sweep", help="the lines of `segue sweep`")
    sweep.set_defaults(command=_sweep)
    add = sweep.add_argument
    add("models", nargs="+", metavar="MODEL", help="a file, or zoo:NAME")
    add("--tpus", type=_numbers, default=_numbers("1..8"), help="as 1..8 or 1,2,4 (default 1..8)")
    add("--devices", type=_names, default=["edgetpu-pcie"], help="names or files, with commas")
    add("--strategies", type=_names, default=segue.strategy_names(), help="with commas")
    add("--max-replicas", type=int, default=0, help="devices per stage (default: any number)")
    add("-o", "--output", help="file for the lines (default: standard output)")
    topology = commands.add_parser("topology", help="nodes and links, for `segue plan --topology`")
    topology.set_defaults(command=_topology)
    add = topology.add_argument
    add("--device", default="edgetpu-usb3", help="kind of the Edge TPUs (default %(default)s)")
    add("--backend", choices=BACKENDS, default="edgetpu",
        help="count Ray's resource edgetpu, or else CPUs, as devices (default %(default)s)")
    add("-o", "--output", help="file for the topology (default: standard output)")
    for command in (run, sweep, topology):
        add = command.add_argument
        add("--address", default="auto", help="HOST:PORT of the cluster (default: this host's)")
    for command in (run, sweep):
        add = command.add_argument
        add("--cache", metavar="DIR", help="where nodes keep files (~/.cache/segue/cluster)")
    return parser


def _run(options: argparse.Namespace) -> int:
    source: Any = Path(options.source)
    if not source.is_dir():
        if options.model is None:
            raise Error(f"{source}: a plan.json needs its model; add --model MODEL",
                        "invalid_argument")  # fmt: skip
        source = segue.read_plan(source)

    def report(loss: DeviceLoss) -> None:
        text = f"{loss.device} was lost: {loss.reason}; {loss.remedy}"
        print(f"segue cluster: {text}", file=sys.stderr)

    with ClusterPipeline(
        source,
        options.model,
        address=options.address,
        backend=options.backend,
        time_scale=options.time_scale,
        watchdog_s=options.watchdog,
        compiler=options.compiler_cmd,
        on_loss=report,
        cache_folder=options.cache,
    ) as pipeline:
        for _ in pipeline.run(_random_inputs(pipeline, options.inputs, options.seed)):
            pass
        statistics = pipeline.statistics()
    if options.json:
        print(json.dumps(dataclasses.asdict(statistics), indent=2))
    else:
        print(_text(statistics))
    return 0


def _random_inputs(pipeline: ClusterPipeline, count: int, seed: int) -> Iterator[list[Any]]:
    random = np.random.default_rng(seed)
    forms = [(dtype_of(port.type, port.name), port.shape) for port in pipeline.inputs]
    for _ in range(count):
        yield [_random(random, dtype, shape) for dtype, shape in forms]


def _random(random: np.random.Generator, dtype: np.dtype[Any], shape: list[int]) -> Any:
    if dtype.kind == "f":
        return random.standard_normal(shape).astype(dtype)
    if dtype.kind == "b":
        return random.integers(0, 2, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)


def _text(statistics: PipelineStatistics) -> str:
    latency = statistics.latency
    lines = [
        f"{statistics.results} results in {statistics.elapsed_ns / 1e9:.2f} s: "
        f"{statistics.throughput_per_s:.1f}/s (measured)",
        f"latency: mean {latency.mean_ns / 1e6:.1f} ms, p50 {latency.p50_ns / 1e6:.1f} ms, "
        f"p99 {latency.p99_ns / 1e6:.1f} ms, max {latency.max_ns / 1e6:.1f} ms",
    ]
    for stage in statistics.stages:
        shares = ", ".join(f"{100 * share:.0f} %" for share in stage.utilisations)
        lines.append(f"{stage.segment}: {stage.mean_time_ns / 1e6:.2f} ms, "
                     f"queue {stage.mean_queue:.1f}, busy {shares}")  # fmt: skip
    return "\n".join([*lines, *(f"lost: {loss}" for loss in statistics.losses)])


def _sweep(options: argparse.Namespace) -> int:
    lines = sweep_lines(options.models, options.tpus, options.devices, options.strategies,
                        options.max_replicas, options.address, options.cache)  # fmt: skip
    _write("".join(line.rstrip("\n") + "\n" for line in lines), options.output)
    return 0


def _topology(options: argparse.Namespace) -> int:
    connect(options.address)
    topology = topology_of_cluster(RESOURCES[options.backend], options.device)
    _write(json.dumps(topology, indent=2) + "\n", options.output)
    return 0


def _write(text: str, output: str | None) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    part = Path(f"{output}.part")
    part.write_text(text, encoding="utf-8")
    part.rename(output)


def _names(text: str) -> list[str]:
    return text.split(",")


def _numbers(text: str) -> list[int]:
    """Parses the numbers that `segue sweep --tpus` takes."""
    numbers: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("..")
        numbers += range(int(first), int(last or first) + 1)
    if not numbers:
        raise argparse.ArgumentTypeError(f"'{text}': expected numbers and ranges, as 1,2,4..8")
    return numbers


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
