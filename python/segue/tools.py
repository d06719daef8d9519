"""Compiling, diagnosing, checking proofs, sweeping and reporting."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Iterable, Sequence

from segue import _segue
from segue._segue import Certificate, CompileReport, Finding, Model, Plan
from segue.planning import AnyModel, to_command, to_model


def to_compiler(compiler: Sequence[str] | str | None) -> list[str]:
    """Returns the command of edgetpu_compiler; None means SEGUE_EDGETPU_COMPILER, or its name."""
    if compiler is None:
        compiler = os.environ.get("SEGUE_EDGETPU_COMPILER") or "edgetpu_compiler"
    return to_command(compiler)


def compile(
    source: Model | str | os.PathLike[str],
    folder: str | os.PathLike[str] | None = None,
    *,
    device: str | None = None,
    compiler: Sequence[str] | str | None = None,
    timeout_s: float = 180.0,
    attempts: int = 3,
    jobs: int = 0,
    finds_culprits: bool = True,
) -> CompileReport:
    """Compiles for the Edge TPU with Google's edgetpu_compiler.

    source: a folder of segments, whose compiled files are written next to them and whose plan.json
    gets the compiler's byte counts; or a model, whose compiled file is written to `folder`.
    device: the device file that plan.json was made for, if it is not in the catalogue. compiler:
    its command (default: SEGUE_EDGETPU_COMPILER, or edgetpu_compiler). A segment that does not
    compile is a result, with the operator that causes it; the report is then false.
    """
    command = to_compiler(compiler)
    if not isinstance(source, Model) and Path(source).is_dir():
        if folder is not None:
            raise ValueError("folder: compiled segments are written next to the segments")
        return _segue.compile_folder(
            Path(source), device, command, timeout_s, attempts, jobs, finds_culprits
        )
    if folder is None:
        raise ValueError("folder: name the folder for the compiled file of a model")
    return _segue.compile_model(
        to_model(source), Path(folder), command, timeout_s, attempts, finds_culprits
    )


def doctor(
    *,
    runtime: str | os.PathLike[str] | None = None,
    edgetpu_library: str | os.PathLike[str] | None = None,
) -> list[Finding]:
    """Checks what this machine needs to run Edge TPUs. Changes nothing and opens no device."""
    return _segue.doctor(
        None if runtime is None else Path(runtime),
        None if edgetpu_library is None else Path(edgetpu_library),
        [Path(folder) for folder in os.get_exec_path()],
    )


def check_certificate(model: AnyModel, plan: Plan) -> Certificate:
    """Checks the proof of a plan of strategy "optimal" with an independent algorithm."""
    return _segue.check_certificate(to_model(model), plan)


def _listed(names: str | Iterable[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def sweep(
    models: str | Iterable[str],
    *,
    tpus: Iterable[int] = range(1, 9),
    devices: str | Iterable[str] = ("edgetpu-pcie",),
    strategies: str | Iterable[str] | None = None,
    max_replicas: int = 0,
    shard: str = "1/1",
    threads: int = 0,
) -> list[dict[str, Any]]:
    """Plans all combinations; returns the rows of `segue sweep` as dicts (docs/sweeps.md).

    models: files, or zoo:NAME; one or several. shard: "3/8" for every 8th job, starting with the third.
    """
    chosen = _segue.strategy_names() if strategies is None else _listed(strategies)
    lines = _segue.sweep_lines(
        _listed(models), list(tpus), _listed(devices), chosen, max_replicas, shard, threads
    )
    return [json.loads(line) for line in lines]


def merge_sweep(
    files: Iterable[str | os.PathLike[str]], *, partial: bool = False
) -> list[dict[str, Any]]:
    """Merges the output files of `segue sweep`; returns each job once, in order.

    partial: accept missing jobs. Raises Error if files belong to different sweeps, two results of a
    job differ, or a job is missing.
    """
    lines = _segue.merge_lines([Path(file) for file in files], partial)
    return [json.loads(line) for line in lines]


def write_probes(folder: str | os.PathLike[str]) -> list[Path]:
    """Writes the models that calibrate() measures, to be compiled on another machine."""
    return _segue.write_probes(Path(folder))


def calibrate(
    output: str | os.PathLike[str],
    *,
    base: str = "",
    use: str = "",
    probes: str | os.PathLike[str] | None = None,
    compiler: Sequence[str] | str | None = None,
    runtime: str | os.PathLike[str] | None = None,
    edgetpu_library: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Measures an Edge TPU and its host for some seconds, and writes a device file.

    output: the file, "NAME.json"; the device is named after it. base: catalogue device that
    supplies the constants that are not measured (default: chosen by the link). use: name of the
    Edge TPU (default: the first). probes: folder of probes that were compiled elsewhere. compiler:
    as in compile(). Returns the measured constants and the check, as `segue calibrate --json`.
    """
    file = Path(output)
    if file.suffix != ".json" or not file.parent.is_dir():
        raise ValueError(f"output: {file} must be a file NAME.json in an existing folder")
    result: dict[str, Any] = json.loads(
        _segue.calibrate(
            file,
            base,
            use,
            None if probes is None else Path(probes),
            to_compiler(compiler),
            None if runtime is None else Path(runtime),
            None if edgetpu_library is None else Path(edgetpu_library),
        )
    )
    return result


def report(model: AnyModel, plans: Plan | Sequence[Plan], chosen: int = 0, inputs: int = 15) -> str:
    """Returns an HTML page of plans of one model: timeline, memory, times, comparison and cuts.

    chosen: the position of the plan that is shown first. inputs: the length of the timelines.
    """
    rows = [plans] if isinstance(plans, Plan) else list(plans)
    return _segue.report_page(to_model(model), rows, chosen, inputs)
