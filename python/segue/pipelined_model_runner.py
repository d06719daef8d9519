"""pycoral's pipeline API: existing scripts change one import.

    import segue.pipelined_model_runner as pipeline    # was: pycoral.pipeline.pipelined_model_runner

Interpreters of tflite_runtime, ai_edge_litert and TensorFlow work as they are. Those of
make_interpreter, here, compute in the pipeline's own threads, on the CPU or on an Edge TPU.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from segue import _segue
from segue._segue import Backend, PipelineStatistics, Port, Session, Tensor
from segue.at_exit import end_at_exit
from segue.errors import Error

Array = npt.NDArray[Any]

_UNLIMITED = 2**31 - 1
_DTYPES = {
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FLOAT16": np.float16,
    "FLOAT32": np.float32,
    "FLOAT64": np.float64,
    "BOOL": np.bool_,
}


def list_edge_tpus() -> list[dict[str, str]]:
    """The Edge TPUs of this machine, as pycoral.utils.edgetpu lists them."""
    return [
        {"type": name.split(":")[0], "path": path} for name, path in _segue.edgetpu_devices()
    ]


def make_interpreter(model_path: str, device: str | None = None) -> Interpreter:
    """device: "cpu", or an Edge TPU as pycoral names it: ":0", "usb", "pci:1" (None: the first)."""
    return Interpreter(model_path, device)


class Interpreter:
    """A model for one device, with the methods of TensorFlow Lite's interpreter that scripts use."""

    def __init__(self, model_path: str, device: str | None = None) -> None:
        self.model_path = model_path
        self._model = _segue.open_model(str(model_path))
        self.backend = _backend(device)
        self._session: Session | None = None
        self._values: dict[int, Array] = {}

    def allocate_tensors(self) -> None:
        """Nothing to do: a session is opened when it is needed, and again in a pipeline."""

    def get_input_details(self) -> list[dict[str, Any]]:
        return [_details(tensor) for tensor in self._model.inputs]

    def get_output_details(self) -> list[dict[str, Any]]:
        return [_details(tensor) for tensor in self._model.outputs]

    def set_tensor(self, index: int, value: Array) -> None:
        self._values[index] = np.ascontiguousarray(value)

    def invoke(self) -> None:
        if self._session is None:
            self._session = _segue.open_session(self._model, self.backend)
        inputs = [self._values[tensor.position] for tensor in self._model.inputs]
        for tensor, value in zip(self._model.outputs, self._session.run(inputs)):
            self._values[tensor.position] = value

    def get_tensor(self, index: int) -> Array:
        return self._values[index].copy()


class PipelinedModelRunner:
    """Runs the segments of interpreters as a pipeline.

    As in pycoral, inputs are copied when they are pushed, so that a script may use its buffer
    again; with copy_inputs=False they are not, and must stay unchanged until their result.
    Results of this module's interpreters are not copied, those of others once. Queues are
    unlimited until a size is set, as in pycoral. Beyond it: waiting can be interrupted, nothing
    hangs at the end, and statistics() tells what each segment did.
    """

    def __init__(self, interpreters: Sequence[Any], copy_inputs: bool = True) -> None:
        if not interpreters:
            raise ValueError("a pipeline needs at least one interpreter")
        self._interpreters = list(interpreters)
        self._copies = copy_inputs
        self._input_queue = _UNLIMITED
        self._output_queue = _UNLIMITED
        self._opened: Any = None
        self._has_ended = False
        self._opening = threading.Lock()
        self._inputs = {
            d["name"]: (np.dtype(d["dtype"]), tuple(int(n) for n in d["shape"]))
            for d in self._interpreters[0].get_input_details()
        }

    def interpreters(self) -> list[Any]:
        return self._interpreters

    def set_input_queue_size(self, size: int) -> None:
        """Inputs that wait before each segment, 0: no limit; before the first push."""
        self._input_queue = self._limit(size)

    def set_output_queue_size(self, size: int) -> None:
        """Results that wait for pop, 0: no limit; before the first push."""
        self._output_queue = self._limit(size)

    def push(self, input_tensors: Mapping[str, Array]) -> None:
        """Gives arrays by the names of the inputs; an empty dict ends the stream."""
        if not input_tensors:
            self._pipeline().close()
            return
        if len(input_tensors) != len(self._inputs):
            raise ValueError(
                f"Expected input of length {len(self._inputs)}, but got {len(input_tensors)}"
            )
        self._pipeline().push({name: self._value(name, a) for name, a in input_tensors.items()})

    def pop(self) -> dict[str, Array] | None:
        """The next result by the names of the outputs; None after the end of the stream."""
        result = self._pipeline().pop()
        return None if result is None else result.outputs

    def statistics(self) -> PipelineStatistics:
        statistics: PipelineStatistics = self._pipeline().statistics()
        return statistics

    def _limit(self, size: int) -> int:
        if self._opened is not None:
            raise RuntimeError("queue sizes are set before the first push")
        if not isinstance(size, int):
            raise TypeError(f"a queue holds a whole number of inputs, not {size!r}")
        return min(size, _UNLIMITED) if size > 0 else _UNLIMITED

    def _value(self, name: str, array: Array) -> Array:
        wanted = self._inputs.get(name)
        if wanted is None:
            raise ValueError(f"'{name}' is no input; there are {', '.join(self._inputs)}")
        dtype, shape = wanted
        if not isinstance(array, np.ndarray) or array.dtype != dtype:
            raise ValueError(f"Input should be a numpy array of type {dtype}")
        if array.shape != shape:
            array = array.reshape(shape)  # as pycoral, which takes any array with enough elements
        return array.copy() if self._copies else array

    def _pipeline(self) -> Any:
        if self._has_ended:
            raise Error("the pipeline ended with the program", "invalid_argument")
        if self._opened is None:
            with self._opening:
                if self._opened is None:
                    self._opened = self._open()
                    end_at_exit(self)
        return self._opened

    def _end(self) -> None:
        self._has_ended = True
        self._opened.cancel()
        self._opened = None

    def _open(self) -> Any:
        limits = (self._input_queue, self._output_queue)
        if all(isinstance(i, Interpreter) for i in self._interpreters):
            files = [Path(i.model_path) for i in self._interpreters]
            backends = [i.backend for i in self._interpreters]
            return _segue.open_pipeline_of_files(files, backends, *limits)
        return _segue.open_pipeline_of_callables(
            [_callable_backend(i) for i in self._interpreters], *limits
        )


def _backend(device: str | None) -> Backend:
    if device == "cpu":
        return _segue.cpu_backend()
    devices = _segue.edgetpu_devices()
    kind, _, number = (device or "").partition(":")
    matching = [name for name, _ in devices if not kind or name.startswith(kind + ":")]
    position = int(number) if number else 0
    if position >= len(matching):
        raise ValueError(f"no Edge TPU '{device or ''}'; there are {[n for n, _ in devices]}")
    return _segue.edgetpu_backend(matching[position])


def _details(tensor: Tensor) -> dict[str, Any]:
    scale = tensor.scales[0] if len(tensor.scales) == 1 else 0.0
    zero_point = tensor.zero_points[0] if len(tensor.zero_points) == 1 else 0
    return {
        "name": tensor.name,
        "index": tensor.position,
        "shape": np.array(tensor.shape, dtype=np.int32),
        "shape_signature": np.array(tensor.shape, dtype=np.int32),
        "dtype": _DTYPES[tensor.type],
        "quantization": (scale, zero_point),
        "quantization_parameters": {
            "scales": np.array(tensor.scales, dtype=np.float32),
            "zero_points": np.array(tensor.zero_points, dtype=np.int32),
            "quantized_dimension": 0,
        },
        "sparsity_parameters": {},
    }


def _callable_backend(interpreter: Any) -> Backend:
    """An interpreter of another runtime as what computes a segment."""
    inputs = interpreter.get_input_details()
    outputs = interpreter.get_output_details()

    def run(arrays: list[Array]) -> list[Array]:
        for detail, array in zip(inputs, arrays):
            interpreter.set_tensor(detail["index"], array)
        interpreter.invoke()
        return [np.ascontiguousarray(interpreter.get_tensor(d["index"])) for d in outputs]

    def ports(details: list[dict[str, Any]]) -> list[Port]:
        return [Port(d["name"], np.empty(tuple(d["shape"]), dtype=d["dtype"])) for d in details]

    return _segue.callable_backend(ports(inputs), ports(outputs), run)
