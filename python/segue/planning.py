"""Planning, splitting and verifying; models may be given by name."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Sequence, Union

from segue import _segue
from segue._segue import Backend, Model, Plan, VerifyReport

AnyModel = Union[Model, str, "os.PathLike[str]"]


def to_model(model: AnyModel) -> Model:
    """Returns the model, or opens the file or zoo name."""
    return model if isinstance(model, Model) else _segue.open_model(model)


def to_command(command: Sequence[str] | str) -> list[str]:
    """Returns the words of a command; a text is split as a shell does."""
    return shlex.split(command) if isinstance(command, str) else list(command)


def plan(
    model: AnyModel,
    tpus: int | str,
    strategy: str = "optimal",
    device: str = "edgetpu-pcie",
    *,
    max_replicas: int = 0,
    objective: str = "throughput",
    max_latency_ms: float | None = None,
    min_throughput_per_s: float | None = None,
    max_tpus: int = 16,
    min_gain: float = 0.1,
    search: str = "exact",
    measure: Backend | None = None,
    compiler: Sequence[str] | str = (),
    detect: bool = False,
    family: str | None = None,
    topology: str | os.PathLike[str] | None = None,
) -> Plan:
    """Partitions a model for a number of Edge TPUs.

    tpus: a number, or "auto": the fewest that reach min_throughput_per_s and max_latency_ms, up to
    max_tpus; without these goals, TPUs are added while each adds at least min_gain (0.1: 10 %) of
    throughput. strategy: "optimal" (stages and replicas with the smallest time), "balanced",
    "profile" or "compiler" (the cuts of Google's compiler). device: a name, a device file, or
    unequal devices, such as "2xedgetpu-usb3:shared,2xedgetpu-pcie", with tpus=0.

    max_replicas and objective require strategy "optimal". search ("exact", "bisection" as in
    libcoral, or "exhaustive") requires "profile". measure: a backend, usually cpu_backend(), that
    measures operators on the host and, for "profile", segments. compiler: the command of
    edgetpu_compiler, which refines the cuts of "balanced" until nothing streams.

    detect: the times and goals include decoding the outputs of a detector on the host, as Detector
    does it (Plan.decoding). family: as in Detector, for outputs that are not recognised.

    topology: a file with hosts and links (docs/formats.md), for a plan on all their TPUs; tpus and
    device then do not count, and measure does not apply.

    Raises Error with code "infeasible" if the goals cannot be reached.
    """
    if isinstance(tpus, bool) or (isinstance(tpus, str) and tpus != "auto"):
        raise ValueError(f"tpus must be a number or 'auto', not {tpus!r}")
    return _segue.plan(
        to_model(model),
        tpus=max_tpus if isinstance(tpus, str) else tpus,
        chooses_count=isinstance(tpus, str),
        strategy=strategy,
        device=device,
        max_replicas=max_replicas,
        objective=objective,
        max_latency_ms=max_latency_ms,
        min_throughput_per_s=min_throughput_per_s,
        min_gain=min_gain,
        search=search,
        measure=measure,
        compiler=to_command(compiler),
        detect=detect,
        family=family,
        topology=None if topology is None else Path(topology),
    )


def plan_at(
    model: AnyModel, tensors: Sequence[str], device: str = "edgetpu-pcie"
) -> Plan:
    """Returns the plan whose stages end at the named tensors, with one device per stage.

    Raises Error with code "invalid argument" if a name is unknown or the cuts are not in order.
    """
    return _segue.plan_at(to_model(model), list(tensors), device)


def compare(
    model: AnyModel,
    tpus: range = range(1, 9),
    device: str = "edgetpu-pcie",
    *,
    max_replicas: int = 0,
    detect: bool = False,
    family: str | None = None,
) -> list[Plan]:
    """Returns plans of every strategy for each number of TPUs in a range with step 1.

    detect and family: as in plan.
    """
    if not isinstance(tpus, range):
        raise TypeError(f"tpus must be a range, for example range(1, 9), not {tpus!r}")
    if tpus.step != 1 or not tpus:
        raise ValueError(f"tpus: {tpus} must be a non-empty range with step 1")
    return _segue.compare(
        to_model(model),
        first=tpus.start,
        last=tpus.stop - 1,
        device=device,
        max_replicas=max_replicas,
        detect=detect,
        family=family,
    )


def split(model: AnyModel, plan: Plan, folder: str | os.PathLike[str]) -> list[Path]:
    """Writes a .tflite file for each stage, and plan.json; returns the segments in order."""
    return _segue.split(to_model(model), plan, Path(folder))


def verify(
    model: AnyModel,
    folder: str | os.PathLike[str],
    *,
    inputs: int = 3,
    seed: int = 1,
    kernels: str = "builtin",
    runtime: str | os.PathLike[str] | None = None,
) -> VerifyReport:
    """Compares the segments in a folder with the whole model, up to outputs byte for byte.

    kernels: those of the model and of the segments, "builtin" or "xnnpack".
    The report is true if there is no difference; a difference is a result, not an error.
    """
    return _segue.verify(
        to_model(model),
        Path(folder),
        inputs=inputs,
        seed=seed,
        kernels=kernels,
        runtime=None if runtime is None else Path(runtime),
    )
