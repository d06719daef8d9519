"""A pipeline whose stages run on the nodes of a Ray cluster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

import segue
from segue._segue import Plan, Port
from segue.at_exit import end_at_exit
from segue.cluster.core import Core
from segue.cluster.flights import Settings
from segue.cluster.pieces import check_fits, to_pieces
from segue.cluster.segments import (
    Segment,
    common_device,
    segments_of_folder,
    segments_of_plan,
)
from segue.cluster.stage import BackendSpec
from segue.cluster.statistics import DeviceLoss, PipelineStatistics, Result
from segue.cluster.workers import Workers, connect
from segue.errors import Error
from segue.planning import AnyModel, to_model
from segue.streaming import Inputs, Streaming

BACKENDS = ("cpu", "simulated", "edgetpu")


class ClusterPipeline(Streaming[Result]):
    """segue.Pipeline on several hosts; results come in the order of the inputs.

    source: a plan together with its model, or a folder of segments. Each stage, and each replica of
    a stage, takes a device of a node: the resource `edgetpu` for that backend, otherwise a CPU.
    A plan for a topology names the nodes (by address, host name or a resource of this name).
    address: the address of the cluster, as ray.init takes it; "auto" finds the cluster of this
    host, and None starts one. device: the device whose times the backend "simulated" imitates
    (default: the plan's). compiler: the command of edgetpu_compiler, which a plan needs to run on
    Edge TPUs and a folder of compiled segments does not.

    A lost device is replaced by a free one of the cluster, otherwise by the other devices of its
    stage, otherwise by a new plan for the remaining devices (if the model is given). Its inputs run
    again. cache_folder: where nodes keep segments (default: ~/.cache/segue/cluster).

    Inputs are copied. Any number of threads may push and pop.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Plan,
        model: AnyModel | None = None,
        *,
        address: str | None = "auto",
        backend: str = "cpu",
        device: str | None = None,
        time_scale: float = 1.0,
        compiler: str | None = None,
        queue_capacity: int = 2,
        result_capacity: int = 2,
        watchdog_s: float = 30.0,
        start_timeout_s: float = 60.0,
        on_loss: Callable[[DeviceLoss], object] | None = None,
        cache_folder: str | None = None,
    ) -> None:
        _check(backend, watchdog_s)
        self._is_host = backend != "edgetpu"
        self._compiler = compiler if backend == "edgetpu" else None
        self._model = None if model is None else to_model(model)
        plan, segments = self._read(source, backend)
        self._planned_for = None if plan is None else common_device(plan.device)
        spec = BackendSpec(backend, device or self._planned_for or "", time_scale)
        settings = Settings(
            queue_capacity,
            result_capacity,
            watchdog_s,
            on_loss,
            self._replan,
            *_names_of(self._model),
        )
        connect(address)
        self._core = Core(Workers(spec, cache_folder, start_timeout_s), segments, settings)
        end_at_exit(self)

    @property
    def inputs(self) -> list[Port]:
        """The inputs, in the order in which values are pushed."""
        return self._core.routing.inputs

    @property
    def outputs(self) -> list[Port]:
        return self._core.routing.outputs

    def push(self, inputs: Inputs, timeout_s: float | None = None) -> bool:
        """Pushes an array for each input: by name, in order, or the only one.

        Waits while the pipeline is full; returns False after the timeout.
        """
        return self._core.push(self._pieces_of(inputs), timeout_s)

    def pop(self, timeout_s: float | None = None) -> Result | None:
        """Returns the next result; None if the pipeline is closed and drained.

        Raises TimeoutError, and the error that ended the pipeline.
        """
        return self._core.pop(timeout_s)

    def close(self) -> None:
        """Ends the input stream; results of accepted inputs can still be popped."""
        self._core.close()

    def cancel(self) -> None:
        """Discards all inputs in flight, and ends the processes on the nodes."""
        self._core.end()

    def statistics(self) -> PipelineStatistics:
        return self._core.statistics()

    @property
    def losses(self) -> list[DeviceLoss]:
        """The devices that were lost, in order."""
        return list(self._core.losses)

    def _end(self) -> None:
        self._core.end()

    def _read(
        self, source: str | os.PathLike[str] | Plan, backend: str
    ) -> tuple[Plan | None, list[Segment]]:
        if isinstance(source, Plan):
            if self._model is None:
                raise TypeError("a plan requires its model")
            if backend == "edgetpu" and self._compiler is None:
                raise Error("Edge TPUs need compiled segments: pass compiler=COMMAND, or a folder "
                            "that segue.compile compiled", "invalid_argument")  # fmt: skip
            return source, segments_of_plan(self._model, source, self._compiler)
        folder = Path(source)
        plan = folder / "plan.json"
        segments = segments_of_folder(folder, backend == "edgetpu")
        return segue.read_plan(plan) if plan.exists() else None, segments

    def _replan(self, count: int) -> list[Segment] | None:
        """Plans with strategy optimal for as many of the devices as the model can use."""
        device = self._planned_for
        can_compile = self._compiler is not None or self._is_host
        if self._model is None or device is None or not can_compile:
            return None
        for tpus in range(count, 0, -1):
            try:
                plan = segue.plan(self._model, tpus, "optimal", device)
            except Error as error:
                if error.code != "infeasible":
                    raise
                continue
            return segments_of_plan(self._model, plan, self._compiler)
        return None

    def _pieces_of(self, inputs: Inputs) -> dict[str, list[bytes]]:
        ports = self.inputs
        values = _in_order(inputs, ports)
        if len(values) != len(ports):
            raise Error(f"{len(values)} inputs given, but the pipeline has {len(ports)}",
                        "invalid_argument")  # fmt: skip
        return {p.name: to_pieces(check_fits(value, p)) for p, value in zip(ports, values)}


def _check(backend: str, watchdog_s: float) -> None:
    if backend not in BACKENDS:
        raise Error(f"backend '{backend}': expected one of {', '.join(BACKENDS)}",
                    "invalid_argument")  # fmt: skip
    if not watchdog_s >= 0:
        raise Error(f"watchdog_s must be seconds, or 0 for none, not {watchdog_s}",
                    "invalid_argument")  # fmt: skip


def _names_of(model: segue.Model | None) -> tuple[list[str], list[str]]:
    """Inputs and outputs; none if the model is not known."""
    if model is None:
        return [], []
    return [tensor.name for tensor in model.inputs], [tensor.name for tensor in model.outputs]


def _in_order(inputs: Any, ports: Sequence[Port]) -> list[Any]:
    if not isinstance(inputs, Mapping):
        return list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    if missing := [port.name for port in ports if port.name not in inputs]:
        raise Error(f"input '{missing[0]}' is missing in {list(inputs)}", "invalid_argument")
    if len(inputs) > len(ports):
        raise Error(f"{len(inputs)} inputs given, but the pipeline has {len(ports)}",
                    "invalid_argument")  # fmt: skip
    return [inputs[port.name] for port in ports]
