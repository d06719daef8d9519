"""A model on one device, with the methods of TensorFlow Lite's interpreter that scripts use."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import numpy.typing as npt

from segue import _segue
from segue._segue import Backend, Session, Tensor
from segue.element_types import dtype_of

Array = npt.NDArray[Any]


def list_edge_tpus() -> list[dict[str, str]]:
    """The Edge TPUs of this machine, in the format of pycoral.utils.edgetpu."""
    return [
        {"type": name.split(":")[0], "path": path} for name, path in _segue.edgetpu_devices()
    ]


def make_interpreter(model_path: str, device: str | None = None) -> Interpreter:
    """device: "cpu", or an Edge TPU in pycoral's form: ":0", "usb", "pci:1" (None: the first)."""
    return Interpreter(model_path, device)


class Interpreter:
    """As in TensorFlow Lite, allocate_tensors must be called before any method that uses values.

    The first invoke opens the device; a pipeline of interpreters opens the device itself.
    """

    def __init__(self, model_path: str, device: str | None = None) -> None:
        self.model_path = model_path
        self._model = _segue.open_model(str(model_path))
        self.backend = _backend(device)
        self._session: Session | None = None
        self._values: dict[int, Array] = {}  # by index of the tensor; empty before allocate_tensors

    @property
    def is_allocated(self) -> bool:
        return bool(self._values)

    def allocate_tensors(self) -> None:
        if not self._values:
            self._values = {
                tensor.position: np.zeros(tensor.shape, dtype_of(tensor.type, tensor.name))
                for tensor in [*self._model.inputs, *self._model.outputs]
            }

    def get_input_details(self) -> list[dict[str, Any]]:
        return [_details(tensor) for tensor in self._model.inputs]

    def get_output_details(self) -> list[dict[str, Any]]:
        return [_details(tensor) for tensor in self._model.outputs]

    def tensor(self, index: int) -> Callable[[], Array]:
        """Returns a function that returns the value of an input or output without a copy.

        Inputs may be written through it. An invoke creates new output arrays; call it again.
        """
        return lambda: self._value(index)

    def set_tensor(self, index: int, value: Array) -> None:
        """Copies the value of an input."""
        current = self._value(index)
        value = np.asarray(value)
        if value.dtype != current.dtype or value.shape != current.shape:
            raise ValueError(
                f"Cannot set tensor {index}: it has {current.dtype} elements and shape "
                f"{current.shape}, but {value.dtype} and {value.shape} were given"
            )
        current[...] = value

    def get_tensor(self, index: int) -> Array:
        """Returns a copy of the value of an input or output."""
        return self._value(index).copy()

    def check_ready(self) -> None:
        """Raises RuntimeError before allocate_tensors, as invoke does."""
        if not self.is_allocated:
            raise RuntimeError(
                "Invoke called on model that is not ready. Call allocate_tensors() first."
            )

    def invoke(self) -> None:
        self.check_ready()
        if self._session is None:
            self._session = _segue.open_session(self._model, self.backend)
        inputs = [self._values[tensor.position] for tensor in self._model.inputs]
        for tensor, value in zip(self._model.outputs, self._session.run(inputs)):
            self._values[tensor.position] = value

    def release_device(self) -> None:
        """Releases the device until the next invoke, for a pipeline."""
        self._session = None

    def _get_full_signature_list(self) -> dict[str, Any]:
        # pycoral.adapters.detect calls this. Without signatures it uses the outputs' order and
        # size.
        return {}

    def _value(self, index: int) -> Array:
        if not self.is_allocated:
            raise ValueError("Tensor data is null. Call allocate_tensors() first.")
        if index not in self._values:
            raise ValueError(
                f"tensor {index} is neither an input nor an output; expected one of "
                f"{', '.join(map(str, self._values))}"
            )
        return self._values[index]


def _backend(device: str | None) -> Backend:
    if device == "cpu":
        return _segue.cpu_backend()
    devices = _segue.edgetpu_devices()
    kind, _, number = (device or "").partition(":")
    matching = [name for name, _ in devices if not kind or name.startswith(kind + ":")]
    position = int(number) if number else 0
    if position >= len(matching):
        raise ValueError(f"no Edge TPU '{device or ''}'; found: {[n for n, _ in devices]}")
    return _segue.edgetpu_backend(matching[position])


def _details(tensor: Tensor) -> dict[str, Any]:
    scale = tensor.scales[0] if len(tensor.scales) == 1 else 0.0
    zero_point = tensor.zero_points[0] if len(tensor.zero_points) == 1 else 0
    return {
        "name": tensor.name,
        "index": tensor.position,
        "shape": np.array(tensor.shape, dtype=np.int32),
        "shape_signature": np.array(tensor.shape, dtype=np.int32),
        "dtype": dtype_of(tensor.type, tensor.name).type,
        "quantization": (scale, zero_point),
        "quantization_parameters": {
            "scales": np.array(tensor.scales, dtype=np.float32),
            "zero_points": np.array(tensor.zero_points, dtype=np.int32),
            "quantized_dimension": 0,
        },
        "sparsity_parameters": {},
    }
