"""Segments that run as a pipeline, with numpy arrays as inputs and outputs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable, Mapping, Sequence

import numpy as np

from segue import _segue
from segue._segue import Backend, DeviceLoss, PipelineStatistics, Plan, Port, Result
from segue.at_exit import end_at_exit
from segue.errors import Error
from segue.planning import AnyModel, to_model
from segue.streaming import Inputs, Streaming


class Pipeline(Streaming[Result]):
    """Runs segments on several devices; results come in the order of the inputs.

    source: a folder of segments (of segue.split or of Google's compiler; if it holds several sets,
    one file of the set), or a plan together with its model. backends: one for each device in the
    order of the stages and their replicas, where additional ones are spares, or a single one that
    opens all segments (default: the CPU). Edge TPUs use the compiled segments of a folder; these
    need neither plan.json nor the other files.

    A pipeline of a plan makes a new plan when a device is lost and no spare is left, and continues
    on the remaining devices. on_loss is called after each loss, in a thread of the pipeline, and
    must not call the pipeline. trace_capacity: the number of computations that trace_json returns.
    device_names: how messages and statistics name the backends (default: device 0, device 1, ...).

    Arrays are not copied unless they are not C-contiguous. An array that was pushed must not change
    until its result was popped. Outputs are new arrays. Any number of threads may push and pop; a
    thread that waits does not hold the interpreter's lock.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Plan,
        model: AnyModel | None = None,
        *,
        backends: Backend | Sequence[Backend] | None = None,
        queue_capacity: int = 2,
        result_capacity: int = 2,
        watchdog_s: float = 30.0,
        on_loss: Callable[[DeviceLoss], object] | None = None,
        trace_capacity: int = 0,
        device_names: Sequence[str] = (),
    ) -> None:
        if backends is None:
            backends = _segue.cpu_backend()
        devices = [backends] if isinstance(backends, Backend) else list(backends)
        options = _segue.PipelineOptions(
            queue_capacity, result_capacity, watchdog_s, trace_capacity, on_loss, list(device_names)
        )
        if isinstance(source, Plan):
            if model is None:
                raise TypeError("a plan requires its model")
            self._raw: _segue.RawPipeline | None = _segue.open_pipeline(
                to_model(model), source, devices, options
            )
        else:
            if model is not None:
                raise TypeError("a folder contains the segments; pass a model only with a plan")
            self._raw = _segue.open_pipeline_of_folder(Path(source), devices, options)
        end_at_exit(self)

    @classmethod
    def _of(cls, raw: _segue.RawPipeline) -> Pipeline:
        pipeline = cls.__new__(cls)
        pipeline._raw = raw
        end_at_exit(pipeline)
        return pipeline

    @property
    def inputs(self) -> list[Port]:
        """The inputs, in the order in which values are pushed."""
        return self._pipeline.inputs

    @property
    def outputs(self) -> list[Port]:
        return self._pipeline.outputs

    def push(self, inputs: Inputs, timeout_s: float | None = None) -> bool:
        """Pushes an array for each input: by name, in order, or the only one.

        Waits while the pipeline is full; returns False after the timeout.
        """
        if not isinstance(inputs, (np.ndarray, dict, list, tuple)):
            inputs = dict(inputs) if isinstance(inputs, Mapping) else list(inputs)
        return self._pipeline.push(inputs, timeout_s)

    def pop(self, timeout_s: float | None = None) -> Result | None:
        """Returns the next result; None if the pipeline is closed and drained.

        Raises TimeoutError, and the error that ended the pipeline.
        """
        return self._pipeline.pop(timeout_s)

    def close(self) -> None:
        """Ends the input stream; results of accepted inputs can still be popped."""
        self._pipeline.close()

    def cancel(self) -> None:
        """Discards all inputs in flight."""
        self._pipeline.cancel()

    def statistics(self) -> PipelineStatistics:
        return self._pipeline.statistics()

    @property
    def losses(self) -> list[DeviceLoss]:
        """The devices that were lost, in order."""
        return self._pipeline.losses()

    def trace_json(self, name: str = "pipeline") -> str:
        """The most recent computations as JSON text, for ui.perfetto.dev."""
        return self._pipeline.trace_json(name)

    @property
    def _pipeline(self) -> _segue.RawPipeline:
        if self._raw is None:
            raise Error("the pipeline ended with the program", "invalid_argument")
        return self._raw

    def _end(self) -> None:
        raw, self._raw = self._raw, None
        if raw is not None:
            raw.end()
