#!/usr/bin/env python3
"""Breaks central lines of the library one by one, in a copy of the sources, and runs the fast tests on each break. A
break that no test detects shows that a test is missing.

    tests/mutation.py FOLDER          FOLDER: where the copy and its build are kept, some GB
    tests/mutation.py FOLDER WORD…    only breaks with one of these words in their file or description
    tests/mutation.py --check         breaks nothing; names the lines that no longer exist

Prints a row of Markdown for each break with the test that detected it. After a build, each break takes some two minutes
on two cores.
"""

import re
import subprocess
import sys
from pathlib import Path

NOBODY = "**nobody**"
SOURCE = Path(__file__).resolve().parent.parent

# Each row has a description of the break, the file, the original text and its replacement.
BREAKS = [
    ("a signature may name a tensor behind the last one", "src/model/references.cc",
     "if (map->tensor_index() >= tensor_count)", "if (map->tensor_index() > tensor_count)"),
    ("segments need not be convex", "src/model/border.cc",
     "if (inside[i] && behind[p]) {", "if (inside[i] && behind[p] && inside.empty()) {"),
    ("every result of a segment is an output", "src/model/border.cc",
     "if (read_outside[i] && !is_model_output[i]) border.outputs", "if (!is_model_output[i]) border.outputs"),
    ("an operator code is written for each operator", "src/model/extract.cc",
     "if (is_new) kept_codes_.push_back(old_code);", "kept_codes_.push_back(old_code);"),
    ("depth does not grow along edges", "src/graph/graph.cc",
     "depth = std::max(depth, stats_[index(*writer)].depth + 1);", "depth = std::max(depth, stats_[index(*writer)].depth);"),
    ("what is written at a depth does not cross the cut below", "src/graph/graph.cc",
     "if (lifetimes_[i].written <= depth && depth", "if (lifetimes_[i].written < depth && depth"),
    ("the memory of the chip has one layer too many", "src/device/edgetpu/simulated.cc",
     "report.on_chip_bytes + candidate.footprint.bytes <= report.capacity_bytes",
     "report.on_chip_bytes <= report.capacity_bytes"),
    ("input channels are not padded", "src/device/edgetpu/footprint.cc",
     "(round_up(inputs, as_integer(memory.input_lanes)) * taps + channel_bytes);",
     "(inputs * taps + channel_bytes);"),
    ("streamed weights cross the link once", "src/device/edgetpu/segment_time.cc",
     "std::uint32_t times = work.crossings;", "std::uint32_t times = 1;"),
    ("only the last input is sent", "src/device/edgetpu/segment_time.cc",
     "sum.input_bytes += model.tensor(id).bytes;", "sum.input_bytes = model.tensor(id).bytes;"),
    ("Google's rule rounds the average down", "src/planner/internal/vendor.cc",
     "const std::uint64_t average = total / count + 1;", "const std::uint64_t average = total / count;"),
    ("balancing forgets the segments before", "src/planner/segmentation/balanced.cc",
     "std::max(before.largest_bytes, bytes)", "bytes"),
    ("the hop is not part of the latency", "src/plan/internal/pipeline_pace.cc",
     "stage_latency_ns(shares_of(stage)) + hop_ns;", "stage_latency_ns(shares_of(stage)) + 0 * hop_ns;"),
    ("a shared link limits nothing", "src/plan/internal/pipeline_pace.cc",
     "{busiest_link_ns(stages, pools), host", "{0 * busiest_link_ns(stages, pools), host"),
    ("a proof may use more devices than the bound", "src/planner/certificate/check.cc",
     "if (used > bound_.devices) return false;", ""),
    ("a bound may be above what the plan reaches", "src/planner/certificate/check.cc",
     "if (bound.value > reached || bound.is_proven", "if (bound.is_proven"),
    ("nothing is handed over ahead", "src/plan/timeline.cc",
     "static_cast<std::uint64_t>(idle) + stage.devices.size();", "static_cast<std::uint64_t>(idle);"),
    ("constants are compared by their size", "src/split/structure.cc",
     "if (!std::ranges::equal(a.data.subspan(begin, size), b.data.subspan(begin, size)))",
     "if (a.data.subspan(begin, size).size() != b.data.subspan(begin, size).size())"),
    ("outputs are compared by their size", "src/split/execution.cc",
     "if (found != value->second) {", "if (found.size() != value->second.size()) {"),
    ("a tensor named twice is moved out twice", "src/runtime/pipeline/scheduler.cc",
     "std::ranges::count(routing_.outputs, slot) == 1)",
     "std::ranges::count(routing_.outputs, slot) > 0)"),
    ("a borrowed input is never released", "src/runtime/pipeline/scheduler.cc",
     "value->borrowed = {};", ""),
    ("a failed rename is not reported", "src/base/file/staged_files.cc",
     "if (::rename(entry.temporary->path.data(), entry.target.c_str()) != 0)",
     "if (::rename(entry.temporary->path.data(), entry.target.c_str()) > 0)"),
    ("results of a job that differ are merged", "src/planner/sweep/lines.cc",
     "} else if (to_json(merged.back()) != to_json(row)) {", "} else if (merged.back().jobs != row.jobs) {"),
    ("the Pareto front does not count devices", "src/planner/strategy.cc",
     "a.latency <= b.latency && theirs <= ours;", "a.latency <= b.latency;"),
    ("a constant may be shorter than its shape says", "src/model/read.cc",
     "tensor.data.size() != tensor.bytes", "tensor.data.size() > tensor.bytes"),
    ("what follows an operator of the host goes back to the device", "src/device/edgetpu/placement.cc",
     "state.is_on_host |= before.is_on_host && before.has_device_before;", ""),
    ("a device file may set any value that is not too small", "src/device/file.cc",
     "if (!(in_unit >= constant.smallest && in_unit <= constant.largest))", "if (!(in_unit >= constant.smallest))"),
    ("the search forgets replicas", "src/planner/optimal/equal_devices.cc",
     "longest = longest_stage_ns(period_ns_, next_[from].replicas - 1);", "longest = longest_stage_ns(period_ns_, 0);"),
    ("all devices together keep what one can", "src/planner/optimal/work_bounds.cc",
     "static_cast<double>(capacity) * count", "static_cast<double>(capacity)"),
    ("profiling believes in bounds that are too high", "src/planner/profile/profile.cc",
     "Nanoseconds(fixed_ns + work_ns[end]", "Nanoseconds(2 * fixed_ns + work_ns[end]"),
    ("a plan may belong to any model", "src/plan/identity.cc",
     "if (plan.model.sha256 == actual && plan.model.operator_count == operators) return;", "return;"),
    ("a plan may name an operator twice", "src/split/plan_check.cc",
     "twice != planned.end())", "twice != planned.end() && planned.empty())"),
    ("the compiler is asked again where that is in vain", "src/toolchain/edgetpu_compiler/compile.cc",
     "results[0].failure && results[0].failure->may_pass_again", "results[0].failure"),
    ("a compiled file may have other outputs", "src/toolchain/edgetpu_compiler/compile.cc",
     "if (sizes(source, source.outputs()) != sizes(compiled, compiled.outputs()))", "if (false)"),
    ("the compiler's log counts rows, not operators", "src/toolchain/edgetpu_compiler/log.cc",
     "operation.is_mapped() ? 0 : operation.count", "operation.is_mapped() ? 0 : 1"),
    ("the run that touches memory first is measured", "src/runtime/measure.cc",
     "(void)run();  // warm-up, which touches new memory", "// the first"),
    ("percentiles are one result too late", "src/runtime/pipeline/latency_histogram.h",
     "if (passed >= std::max<std::uint64_t>(rank, 1))", "if (passed > std::max<std::uint64_t>(rank, 1))"),
    ("an input may fail on every device", "src/runtime/pipeline/failures.cc",
     "if (input && input->attempts >= options_.most_attempts) {", "if (false) {"),
    ("spares stay idle", "src/runtime/pipeline/failures.cc",
     "spare != kNone) {", "spare == kNone - 1) {"),
    ("a later model of a TPU has all of its memory", "src/planner/set/groups.cc",
     "if (!is_swapped) room -= placed.on_chip_bytes;", ""),
    ("a swapped model is loaded in no time", "src/planner/set/groups.cc",
     "is_swapped ? placed.reload : Nanoseconds(0)", "Nanoseconds(0)"),
    ("models compute on a device at the same time", "src/runtime/set/shared_device.cc",
     "device_.served_ == ticket ||", "true ||"),
    ("a model keeps the device that was taken from it", "src/runtime/set/lender.cc",
     "if (!lease.is_taken) return;", "return;"),
    ("a child without memory answers with nothing", "src/base/internal/process/isolated.cc",
     'send(pipe, MessageKind::kNoMemory, "");', 'send(pipe, Kind::kResult, "");'),
]


def run(*command, **options):
    return subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          **options)


def build(tree):
    done = run("cmake", "--build", tree / "build", "--target", "unit_tests", "cli_tests")
    # This failure does not result from the break.
    if "internal compiler error" in done.stdout or "Killed" in done.stdout:
        sys.exit(done.stdout[-3000:])
    return done


def prepare(folder):
    tree = folder / "segue"
    tree.mkdir(parents=True, exist_ok=True)
    run("rsync", "-a", "--delete", "--checksum", "--exclude=/build", "--exclude=/.git", f"{SOURCE}/", tree).check_returncode()
    run("cmake", "-S", tree, "-B", tree / "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DSEGUE_INSTALL=OFF",
        "-DSEGUE_BUILD_EXAMPLES=OFF", "-DCMAKE_CXX_FLAGS_RELEASE=-O2",
        f"-DSEGUE_TFLITE_RUNTIME={SOURCE}/build/lib/libtensorflowlite_c.so",
        f"-DSEGUE_TEST_SHARED={SOURCE.parent}/shared").check_returncode()
    done = build(tree)
    if done.returncode != 0:
        sys.exit(done.stdout[-3000:])
    return tree


def failing_test(tree, *options):
    done = run("ctest", "--test-dir", tree / "build", "-L", "unit", "--timeout", "60", *options)
    failed = re.search(r"\d+ - (\S+) \((?:Failed|Timeout|SEGFAULT|Subprocess aborted)", done.stdout)
    return failed.group(1) if failed else None


def who_sees_it(tree):
    """Returns the first test that fails, and fails again alone; or the compiler, if it refuses the break; or nobody."""
    if build(tree).returncode != 0:
        return "the compiler"
    busy = []  # tests that failed only because the machine was busy
    while name := failing_test(tree, "-j2", "--stop-on-failure", *(["-E", "|".join(busy)] if busy else [])):
        alone = f"^{re.escape(name)}$"
        if failing_test(tree, "-R", alone):
            return f"`{name}`"
        busy.append(alone)
    return NOBODY


def check_texts():
    stale = [f"{name}: '{old}'" for _, name, old, _ in BREAKS if (SOURCE / name).read_text().count(old) != 1]
    if stale:
        sys.exit("not there exactly once:\n" + "\n".join(stale))


def main():
    if sys.argv[1:] == ["--check"]:
        return check_texts()
    words = sys.argv[2:] or [""]
    chosen = [entry for entry in BREAKS if any(word in entry[0] or word in entry[1] for word in words)]
    if not chosen:
        sys.exit(f"no break has any of {words} in its file or description")
    tree = prepare(Path(sys.argv[1]))
    if (seen := who_sees_it(tree)) != NOBODY:
        sys.exit(f"{seen} fails without a break")
    print("| break | file | seen by |\n|---|---|---|", flush=True)
    holes = 0
    for what, name, old, new in chosen:
        path = tree / name
        text = path.read_text()
        if text.count(old) != 1:
            sys.exit(f"{name}: '{old}' stands there {text.count(old)} times, not once")
        path.write_text(text.replace(old, new))
        seen = who_sees_it(tree)
        path.write_text(text)
        holes += seen == NOBODY
        print(f"| {what} | {name} | {seen} |", flush=True)
    print(f"\n{len(chosen) - holes} of {len(chosen)} seen")
    return 1 if holes else 0


if __name__ == "__main__":
    sys.exit(main())
