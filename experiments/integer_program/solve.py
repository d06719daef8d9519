"""Checks plans of `segue plan --strategy optimal` with an integer program. See README.md."""

import argparse
import json
import random
import subprocess
import sys
import time

from program import Program

# Four parts of a stage's time are rounded to nanoseconds, 2 ns in all; the rest is for tolerances.
MARGIN_NS = 10


def output_of(*command, text=None):
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def true_bottlenecks(arguments, segmentations):
    """As the simulator sees them."""
    text = "".join(" ".join(map(str, stage_of)) + "\n" for stage_of in segmentations)
    result = []
    lines = output_of(arguments.dump, arguments.model, arguments.device, "evaluate", text=text)
    for line in lines.splitlines():
        result.append(max(map(int, line.split())))
    return result


def random_segmentation(data, stages, generator):
    """Cuts at random places of a random topological order."""
    count = len(data["operators"])
    writers = [set() for _ in range(count)]
    for tensor in data["tensors"]:
        for reader in tensor["readers"] if tensor["writer"] >= 0 else []:
            writers[reader].add(tensor["writer"])
    place = {}
    while len(place) < count:
        ready = [v for v in range(count) if v not in place and writers[v] <= place.keys()]
        place[generator.choice(ready)] = len(place)
    cuts = generator.sample(range(1, count), stages - 1)
    return [sum(place[v] >= cut for cut in cuts) for v in range(count)]


def compare_with_simulator(arguments, data, plan):
    """The program's value for given segmentations against true times: it must not be larger."""
    generator = random.Random(1)
    tries = [plan]
    for _ in range(arguments.check):
        tries.append(random_segmentation(data, arguments.tpus, generator))
    gaps = []
    for stage_of, true_ns in zip(tries, true_bottlenecks(arguments, tries)):
        program = Program(data, arguments.tpus)
        program.fix(stage_of)
        status = program.solve(60)
        assert status == "Optimal", status
        gaps.append(true_ns - program.value_ns())
    print(f"  simulator - program: plan {gaps[0]:.1f} ns; {arguments.check} random segmentations "
          f"{min(gaps[1:], default=0):.1f} to {max(gaps[1:], default=0):.1f} ns")  # fmt: skip
    assert min(gaps) > -MARGIN_NS / 2


def runs(stage_of):
    """Neighbours of equal stage in one: "0-2: stage 0"."""
    ends = [v for v in range(len(stage_of)) if stage_of[v : v + 1] != stage_of[v + 1 : v + 2]]
    starts = [0] + [end + 1 for end in ends[:-1]]
    return [f"{a}-{b}: stage {stage_of[b]}" for a, b in zip(starts, ends)]


def search(arguments, data, planned, ceiling_ns):
    program = Program(data, arguments.tpus, ceiling_ns / 1e3)
    start = time.monotonic()
    status = program.solve(arguments.seconds)
    print(f"  below {ceiling_ns:.0f} ns: {status}, {time.monotonic() - start:.1f} s, "
          f"{program.solver.getInfo().mip_node_count} nodes", end="")  # fmt: skip
    found = program.segmentation() if status != "Infeasible" else None
    if found is None:
        print(f", bound {program.bound_ns():.0f} ns" if status != "Infeasible" else "")
        return
    true_ns = true_bottlenecks(arguments, [found])[0]
    print(f", best {program.value_ns():.0f} ns, bound {program.bound_ns():.0f} ns, "
          f"truly {true_ns} ns")  # fmt: skip
    if true_ns < planned:
        sys.exit("  better than the planner's: " + ", ".join(runs(found)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="zoo:NAME or a file")
    parser.add_argument("tpus", type=int, help="at most so many stages")
    parser.add_argument("--segue", required=True, help="the program")
    parser.add_argument("--dump", required=True, help="dump.cc, built")
    parser.add_argument("--device", default="edgetpu-pcie")
    parser.add_argument("--seconds", type=float, default=300, help="limit of each run of HiGHS")
    parser.add_argument("--check", type=int, default=0, help="random segmentations to compare")
    parser.add_argument("--minimise", action="store_true", help="also search without a ceiling")
    arguments = parser.parse_args()

    plan = json.loads(output_of(arguments.segue, "plan", arguments.model, "--tpus",
                                str(arguments.tpus), "--strategy", "optimal", "--max-replicas", "1",
                                "--device", f"{arguments.device}:separate", "--json"))  # fmt: skip
    data = json.loads(output_of(arguments.dump, arguments.model, arguments.device))
    planned = plan["predicted"]["bottleneck_ns"]
    stage_of = {v: stage["index"] for stage in plan["stages"] for v in stage["operators"]}
    print(f"{arguments.model} K={arguments.tpus} {arguments.device}: planner {planned} ns, "
          f"{len(plan['stages'])} stages, host bytes {[s['host_bytes'] for s in plan['stages']]}, "
          f"{'proven' if plan['bound']['proven'] else 'not proven'}")  # fmt: skip
    compare_with_simulator(arguments, data, [stage_of[v] for v in range(len(stage_of))])
    search(arguments, data, planned, planned - MARGIN_NS)
    if arguments.minimise:
        search(arguments, data, planned, float("inf"))


if __name__ == "__main__":
    main()
