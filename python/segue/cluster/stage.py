"""Code that runs on the nodes: an actor for each device, and files that are stored by hash."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence

import segue
from segue._segue import Backend, Session, version
from segue.cluster.pieces import piece_count, to_array, to_pieces
from segue.errors import Error


@dataclass(frozen=True)
class Failure:
    """A call returns this instead of raising, because Ray would wrap the exception."""

    code: str
    message: str


@dataclass(frozen=True)
class Opened:
    """A segment on a device; tensors as name, type and shape."""

    device: str
    inputs: list[tuple[str, str, list[int]]]
    outputs: list[tuple[str, str, list[int]]]


@dataclass(frozen=True)
class BackendSpec:
    """Describes a backend, which each node makes for itself."""

    kind: str  # cpu, simulated or edgetpu
    device: str  # name in the catalogue, for simulated times; empty: as in the plan
    time_scale: float


class Store:
    """Files of one user on one node, named by the SHA-256 of their content."""

    def __init__(self, folder: str | None) -> None:
        self.folder = Path(folder) if folder else Path.home() / ".cache" / "segue" / "cluster"
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.folder.stat().st_uid != os.getuid():
            raise Error(f"{self.folder}: belongs to another user; name another folder", "io")

    def has(self, sha256: str) -> bool:
        """Returns whether the file exists and is undamaged."""
        try:
            return self.checked(sha256).exists()
        except (FileNotFoundError, Error):
            return False

    def put(self, sha256: str, data: bytes) -> None:
        """Stores a file; raises Error with code mismatch if its hash differs."""
        path = self._path(sha256)
        _check_hash(data, sha256, "sent")
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(data)
        part.rename(path)  # so that no incomplete file appears

    def checked(self, sha256: str) -> Path:
        """Returns the path of the file; removes and refuses a damaged or changed file."""
        path = self._path(sha256)
        try:
            _check_hash(path.read_bytes(), sha256, str(path))
        except Error:
            path.unlink(missing_ok=True)
            raise
        return path

    def _path(self, sha256: str) -> Path:
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise Error(f"'{sha256}' is not a SHA-256 in lower-case hexadecimal", "invalid_argument")
        return self.folder / f"{sha256}.tflite"


def _check_hash(data: bytes, sha256: str, what: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise Error(f"{what}: the SHA-256 is {found}, but must be {sha256}", "mismatch")


class StageActor:
    """Computes one input at a time on one device of its node.

    It has a thread for each call that the driver sends in advance: tensors of one input are read
    and written while another one is computed. The driver numbers its calls, so that inputs are
    computed in its order.
    """

    def __init__(self, backend: BackendSpec, cache_folder: str | None) -> None:
        self._spec = backend
        self._store = Store(cache_folder)
        self._lock = -1  # descriptor of the file that marks an Edge TPU as used
        self._backend: Backend | None = None
        self._session: Session | None = None
        self._changed = threading.Condition()
        self._opened = 0  # number of the segment, counted by the driver
        self._next = 0  # number of the next call to compute

    def version(self) -> str:
        return version()

    def has(self, sha256: str) -> bool:
        return self._store.has(sha256)

    def put(self, sha256: str, data: bytes) -> Failure | None:
        try:
            self._store.put(sha256, data)
        except Error as error:
            return Failure(error.code, str(error))
        except OSError as error:
            return Failure("io", str(error))
        return None

    def open(self, sha256: str, number: int) -> Failure | Opened:
        """Opens a stored segment in place of the previous one, whose calls then fail."""
        with self._changed:
            self._opened, self._next = number, 0
            self._changed.notify_all()
            return self._open(sha256)

    def _open(self, sha256: str) -> Failure | Opened:
        try:
            self._session = None  # an Edge TPU opens one segment at a time
            model = segue.open_model(self._store.checked(sha256))
            device = self._open_on_device(model)
        except Error as error:
            return Failure(error.code, str(error))
        except OSError as error:
            return Failure("io", str(error))
        assert self._session is not None
        sides = (self._session.inputs, self._session.outputs)
        inputs, outputs = ([(p.name, p.type, list(p.shape)) for p in side] for side in sides)
        return Opened(device, inputs, outputs)

    def run(self, opened: int, number: int, *pieces: bytes) -> list[Any]:
        """Returns the time in ns and the pieces of the outputs, or a failure and empty pieces.

        opened: number of the segment that the call is for. The driver ignores results of calls for
        an earlier segment.
        """
        session = self._session
        if session is None or self._opened != opened:
            return [Failure("internal", "another segment was opened")]
        arrays = _arrays_of(session, pieces)
        with self._changed:
            self._changed.wait_for(lambda: self._opened != opened or self._next == number)
            if self._opened != opened:
                return [Failure("internal", "another segment was opened")]
            begin = time.perf_counter_ns()
            try:
                results = session.run(arrays)
            except Error as error:
                empty = sum(piece_count(port.nbytes) for port in session.outputs)
                return [Failure(error.code, str(error)), *[b""] * empty]
            finally:
                elapsed = time.perf_counter_ns() - begin
                self._next += 1
                self._changed.notify_all()
        return [elapsed, *(piece for array in results for piece in to_pieces(array))]

    def _open_on_device(self, model: segue.Model) -> str:
        if self._spec.kind != "edgetpu":
            self._backend = self._backend or self._host_backend()
            self._session = segue.open_session(model, self._backend)
            return self._spec.kind
        if self._backend is None:
            return self._open_on_free_edgetpu(model)
        self._session = segue.open_session(model, self._backend)
        return self._backend.description

    def _host_backend(self) -> Backend:
        if self._spec.kind == "cpu":
            return segue.cpu_backend()
        return segue.simulated_backend(self._spec.device, time_scale=self._spec.time_scale)

    def _open_on_free_edgetpu(self, model: segue.Model) -> str:
        """Opens the model on the first Edge TPU that opens and that no other actor holds."""
        failures = []
        for name, _ in segue.edgetpu_devices():
            path = self._store.folder / f"{re.sub('[^A-Za-z0-9._-]', '_', name)}.lock"
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                backend = segue.edgetpu_backend(name)
                self._session = segue.open_session(model, backend)
            except (OSError, Error) as error:
                os.close(lock)
                reason = "in use" if isinstance(error, BlockingIOError) else str(error)
                failures.append(f"{name}: {reason}")
                continue
            self._lock, self._backend = lock, backend
            return name
        raise Error(
            f"no free Edge TPU ({'; '.join(failures) or 'none was found'}); start the node with as "
            "many of the resource edgetpu as it has devices",
            "device",
        )


def _arrays_of(session: Session, pieces: Sequence[bytes]) -> list[Any]:
    arrays = []
    at = 0
    for port in session.inputs:
        end = at + piece_count(port.nbytes)
        arrays.append(to_array(pieces[at:end], port.type, port.shape, port.name))
        at = end
    return arrays
