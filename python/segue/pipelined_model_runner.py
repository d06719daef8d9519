"""pycoral's pipeline API: existing scripts change one import.

    import segue.pipelined_model_runner as pipeline    # was: pycoral.pipeline.pipelined_model_runner

Interpreters of tflite_runtime, ai_edge_litert and TensorFlow work unchanged. Those of
make_interpreter in this module compute in the pipeline's own threads, on the CPU or on an Edge
TPU, and pycoral.adapters accepts them.
"""

from __future__ import annotations

import operator
import threading
from pathlib import Path
from typing import Any, Mapping, Sequence, SupportsIndex

import numpy as np

from segue import _segue
from segue._segue import Backend, PipelineStatistics, Port
from segue.at_exit import end_at_exit
from segue.errors import Error
from segue.interpreter import Array, Interpreter, list_edge_tpus, make_interpreter

__all__ = ["Interpreter", "PipelinedModelRunner", "list_edge_tpus", "make_interpreter"]

_UNLIMITED = 2**31 - 1


class PipelinedModelRunner:
    """Runs the segments of interpreters as a pipeline.

    As in pycoral, inputs are copied when they are pushed, so that a script may reuse its buffer.
    With copy_inputs=False they are not copied and must stay unchanged until their result. Results
    of this module's interpreters are not copied, those of other interpreters once. Queues are
    unlimited until a size is set, as in pycoral. Unlike in pycoral, waiting can be interrupted,
    nothing hangs at the end, and statistics() reports what each segment did.
    """

    def __init__(self, interpreters: Sequence[Any], copy_inputs: bool = True) -> None:
        if not interpreters:
            raise ValueError("At least one interpreter expected")
        _check_order(interpreters)
        self._interpreters = list(interpreters)
        self._copies = copy_inputs
        self._input_queue = _UNLIMITED
        self._output_queue = _UNLIMITED
        self._opened: Any = None
        self._is_closed = False
        self._has_ended = False
        self._lock = threading.Lock()
        self._reasons: dict[int, str] = {}  # exceptions of interpreters, by segment
        self._inputs = {
            d["name"]: (np.dtype(d["dtype"]), tuple(int(n) for n in d["shape"]))
            for d in self._interpreters[0].get_input_details()
        }

    def interpreters(self) -> list[Any]:
        return self._interpreters

    def set_input_queue_size(self, size: SupportsIndex) -> None:
        """Queue capacity before each segment, in inputs; 0: no limit. Can change while it runs."""
        self._set_queue_sizes(_limit(size), self._output_queue)

    def set_output_queue_size(self, size: SupportsIndex) -> None:
        """Capacity of the result queue; 0: no limit. Can change while it runs."""
        self._set_queue_sizes(self._input_queue, _limit(size))

    def push(self, input_tensors: Mapping[str, Array]) -> None:
        """Pushes arrays by the names of the inputs; an empty dict ends the stream.

        Raises RuntimeError after the end of the stream, and after a segment failed.
        """
        pipeline = self._pipeline()
        if not input_tensors:
            self._close(pipeline)
            return
        if len(input_tensors) != len(self._inputs):
            raise ValueError(
                f"Expected input of length {len(self._inputs)}, but got {len(input_tensors)}"
            )
        values = {name: self._value(name, array) for name, array in input_tensors.items()}
        try:
            pipeline.push(values)
        except Error as error:
            raise self._explained(pipeline, error) from error

    def pop(self) -> dict[str, Array] | None:
        """Returns the next result by the names of the outputs; None after the end of the stream.

        Raises RuntimeError if a segment failed, after the earlier results.
        """
        pipeline = self._pipeline()
        try:
            result = pipeline.pop()
        except Error as error:
            raise self._explained(pipeline, error) from error
        return None if result is None else result.outputs

    def statistics(self) -> PipelineStatistics:
        statistics: PipelineStatistics = self._pipeline().statistics()
        return statistics

    def _set_queue_sizes(self, inputs: int, outputs: int) -> None:
        with self._lock:
            self._input_queue = inputs
            self._output_queue = outputs
            if self._opened is not None:
                self._opened.set_capacities(inputs, outputs)

    def _close(self, pipeline: Any) -> None:
        with self._lock:
            failure = self._failure(pipeline)
            if failure is not None:
                raise Error(failure, "device")
            if self._is_closed:
                raise _turned_off()
            self._is_closed = True
        pipeline.close()

    def _failure(self, pipeline: Any) -> str | None:
        """Names the segment that failed first and the reason, in the format of pycoral."""
        for loss in pipeline.losses():
            segment = int(loss.device.split()[-1])  # each segment has one device with its number
            return f"Segment {segment} runner error: {self._reasons.get(segment, loss.reason)}"
        return None

    def _explained(self, pipeline: Any, error: Error) -> Error:
        failure = self._failure(pipeline)
        if failure is not None:
            return Error(failure, error.code)
        return _turned_off() if self._is_closed else error

    def _value(self, name: str, array: Array) -> Array:
        wanted = self._inputs.get(name)
        if wanted is None:
            raise ValueError(f"'{name}' is not an input; expected one of {', '.join(self._inputs)}")
        dtype, shape = wanted
        if not isinstance(array, np.ndarray) or array.dtype != dtype:
            given = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise ValueError(
                f"Input should be a list of numpy array of type {dtype}: '{name}' is {given}"
            )
        if array.shape != shape:
            array = array.reshape(shape)  # pycoral takes any array with enough elements, too
        return array.copy() if self._copies else array

    def _pipeline(self) -> Any:
        if self._has_ended:
            raise Error("the pipeline ended with the program", "invalid_argument")
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
                end_at_exit(self)
        return self._opened

    def _end(self) -> None:
        self._has_ended = True
        self._opened.end()
        self._opened = None

    def _open(self) -> Any:
        options = _segue.PipelineOptions(self._input_queue, self._output_queue)
        for interpreter in self._interpreters:
            if isinstance(interpreter, Interpreter):
                interpreter.release_device()
        # An interpreter without tensors fails at its first input, as in pycoral.
        if all(isinstance(i, Interpreter) and i.is_allocated for i in self._interpreters):
            files = [Path(i.model_path) for i in self._interpreters]
            backends = [i.backend for i in self._interpreters]
            return _segue.open_pipeline_of_files(files, backends, options)
        backends = [
            _callable_backend(interpreter, position, self._reasons)
            for position, interpreter in enumerate(self._interpreters)
        ]
        return _segue.open_pipeline_of_callables(backends, options)


def _turned_off() -> Error:
    return Error(
        "Pipeline was turned off before. After the end of the stream make another runner.",
        "invalid_argument",
    )


def _check_order(interpreters: Sequence[Any]) -> None:
    """Checks that each input of a segment comes from an earlier one or is an input of the first."""
    there = {d["name"] for d in interpreters[0].get_input_details()}
    for position, interpreter in enumerate(interpreters):
        missing = [d["name"] for d in interpreter.get_input_details() if d["name"] not in there]
        if missing:
            raise ValueError(
                f"Interpreter {position} can not get its input tensors: no earlier interpreter "
                f"writes {', '.join(missing)}; pass the segments of one model, in order"
            )
        there.update(d["name"] for d in interpreter.get_output_details())


def _limit(size: SupportsIndex) -> int:
    number = operator.index(size)
    if number < 0:
        raise ValueError(f"queue size must be a number of inputs, or 0 for no limit, not {number}")
    return min(number, _UNLIMITED) if number > 0 else _UNLIMITED


def _callable_backend(interpreter: Any, position: int, reasons: dict[int, str]) -> Backend:
    """Makes a backend that computes a segment with an interpreter of any runtime."""
    inputs = interpreter.get_input_details()
    outputs = interpreter.get_output_details()

    def run(arrays: list[Array]) -> list[Array]:
        try:
            if isinstance(interpreter, Interpreter):
                interpreter.check_ready()
            for detail, array in zip(inputs, arrays):
                interpreter.set_tensor(detail["index"], array)
            interpreter.invoke()
            return [np.ascontiguousarray(interpreter.get_tensor(d["index"])) for d in outputs]
        except Exception as error:
            reasons[position] = str(error) or type(error).__name__
            raise

    def ports(details: list[dict[str, Any]]) -> list[Port]:
        return [Port(d["name"], np.empty(tuple(d["shape"]), dtype=d["dtype"])) for d in details]

    return _segue.callable_backend(ports(inputs), ports(outputs), run)
