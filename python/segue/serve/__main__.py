"""`python -m segue.serve`, and `segue-serve`."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import socket
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterator, Sequence

from segue.errors import Error
from segue.serve.options import parse_options

try:
    import uvicorn
    import zmq

    from segue.serve.app import Service, make_app
    from segue.serve.detection import LOWEST_SCORE, Detection
    from segue.serve.engine import Engine
    from segue.serve.frigate import FrigateServer, check_endpoint
    from segue.serve.limits import timed_protocol
    from segue.serve.metrics import Metrics
except ModuleNotFoundError as missing:
    sys.exit(f"segue serve: error: {missing.name} is missing; install the wheel with [serve]")

import segue
from segue._segue import Backend, DeviceLoss

if TYPE_CHECKING:
    from segue.cluster import ClusterPipeline
    from segue.cluster import DeviceLoss as ClusterLoss

# The number of connections beyond --max-queue. They are idle or still send a request.
MORE_CONNECTIONS = 32
QUEUE_CAPACITY = 4
STATUS = {"infeasible": 4, "compiler": 5, "device": 6, "mismatch": 7, "invalid_argument": 2}
STATUS_OF_MODELS = 3


def main(words: list[str] | None = None) -> int:
    options = parse_options(words)
    logging.basicConfig(level=logging.INFO, format="segue serve: %(message)s")
    # The warnings of these modules repeat what clients send; the metrics count those requests.
    for name in ("uvicorn", "python_multipart"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        return serve(options)
    except Error as error:
        print(f"segue serve: error: {error}", file=sys.stderr)
        is_model = error.code in ("invalid_model", "unsupported")
        return STATUS_OF_MODELS if is_model else STATUS.get(error.code, 1)
    except (OSError, zmq.ZMQError) as error:
        print(f"segue serve: error: {error}", file=sys.stderr)
        return 1


def serve(options: argparse.Namespace) -> int:
    """Runs until a signal, or until the pipeline failed. Returns the exit status."""
    if options.zmq:
        check_endpoint(options.zmq)
    with _listen(options.host, options.port) as listener, contextlib.ExitStack() as pipelines:
        services = _set_services(options, pipelines) if options.plan else [_one(options, pipelines)]
        service = services[0]
        config = uvicorn.Config(
            make_app(services),
            http=timed_protocol(options.client_timeout),
            loop="asyncio",
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            log_level="error",
            server_header=False,
            limit_concurrency=options.max_queue * len(services) + MORE_CONNECTIONS,
            timeout_graceful_shutdown=int(service.drain_s),
        )
        server = uvicorn.Server(config)

        def end() -> None:
            logging.error("error: %s", _error_of(services))
            server.should_exit = True

        for of in services:
            of.engine.on_failure = end
        service.on_started = lambda: _announce(options, services, listener)
        with _signals_ignored():  # uvicorn handles signals and raises them again when it has ended
            server.run(sockets=[listener])
        if not server.started:
            return 1
        return 0 if _error_of(services) is None else STATUS["device"]


def _error_of(services: Sequence[Service]) -> str | None:
    errors = (service.engine.error for service in services)
    return next((error for error in errors if error is not None), None)


def _one(options: argparse.Namespace, pipelines: contextlib.ExitStack) -> Service:
    plan = _plan(options)
    devices = _devices(options, plan.device if plan is not None else "edgetpu-pcie")
    pipeline = _open(options, plan, devices)
    pipelines.enter_context(pipeline)
    return _service(options, plan, devices, pipeline)


def _set_services(options: argparse.Namespace, pipelines: contextlib.ExitStack) -> list[Service]:
    """One service for each model of a set; they share devices, threads and limits."""
    plan = segue.read_set(options.plan)
    is_simulated = options.backend == "simulated"
    runtime = "cpu" if is_simulated else options.backend
    devices = _devices(options, plan.device, runtime)
    is_compiled = options.backend == "edgetpu"
    opened = segue.open_set(
        plan,
        backends=[backend for _, backend in devices] if is_compiled else devices[0][1],
        folder=Path(options.plan).parent if is_compiled else None,
        time_scale=options.time_scale if is_simulated else None,
        queue_capacity=QUEUE_CAPACITY,
        result_capacity=options.max_queue,
        watchdog_s=options.watchdog,
        on_loss=_log_loss_of,
    )
    pool = ThreadPoolExecutor(os.cpu_count() or 1, "segue-serve")
    services = []
    for source, (name, pipeline) in zip(plan.sources, opened.items()):
        pipelines.enter_context(pipeline)
        engine = Engine(pipeline, options.max_queue)
        known = devices if is_compiled else []
        metrics = Metrics(pipeline, _unanswered_of(engine), known, name)
        service = _of_engine(options, name, engine, pipeline, metrics, pool)
        service.detection = _detection(options, service, source)
        services.append(service)
    return services


def _unanswered_of(engine: Engine) -> Callable[[], int]:
    return lambda: engine.unanswered


def _log_loss_of(model: str, loss: DeviceLoss) -> None:
    logging.warning("%s: %s was lost: %s; %s", model, loss.device, loss.reason, loss.remedy)


@contextlib.contextmanager
def _signals_ignored() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: None) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before):
            signal.signal(number, handler)


def _announce(
    options: argparse.Namespace, services: Sequence[Service], listener: socket.socket
) -> None:
    host, port = listener.getsockname()[:2]
    host = f"[{host}]" if ":" in host else host
    more = f" and {options.zmq}" if options.zmq else ""
    names = ", ".join(service.name for service in services)
    verb = "is" if len(services) == 1 else "are"
    logging.info("%s %s served at http://%s:%d%s", names, verb, host, port, more)


def _listen(host: str, port: int) -> socket.socket:
    """Binds the socket before devices are opened, because opening takes seconds."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host.strip("[]"), port), family=family, backlog=128)


def _plan(options: argparse.Namespace) -> segue.Plan | None:
    """Returns the given plan.json, or that of the folder; None if the folder has none."""
    path = Path(options.source)
    if path.is_dir():
        path = path / "plan.json"
        return segue.read_plan(path) if path.exists() else None
    if path.suffix != ".json":
        return None
    if options.model is None:
        raise Error(f"{path}: a plan.json needs its model; add --model MODEL", "invalid_argument")
    return segue.read_plan(path)


def _devices(
    options: argparse.Namespace, device: str, runtime: str | None = None
) -> list[tuple[str, Backend]]:
    """Returns names and backends of all devices. runtime: overrides that of the options."""
    if options.cluster:
        return []  # each node opens its own
    devices = segue.open_devices(
        runtime or options.backend,
        use=options.use or [],
        device=device,
        time_scale=options.time_scale,
    )
    # One backend of this machine serves all stages.
    return devices if options.backend == "edgetpu" else [(options.backend, devices[0][1])]


def _open(
    options: argparse.Namespace, plan: segue.Plan | None, devices: Sequence[tuple[str, Backend]]
) -> segue.Pipeline | ClusterPipeline:
    if options.cluster:
        return _open_on_cluster(options, plan)
    arguments: dict[str, Any] = {
        "backends": [backend for _, backend in devices],
        "device_names": [name for name, _ in devices],
        "watchdog_s": options.watchdog,
        # Python may be late. Long queues give devices inputs, and results a place, until it is
        # ready.
        "queue_capacity": QUEUE_CAPACITY,
        "result_capacity": options.max_queue,
        "on_loss": _log_loss,
    }
    if plan is not None and Path(options.source).is_file():
        return segue.Pipeline(plan, options.model, **arguments)
    return segue.Pipeline(options.source, **arguments)


def _open_on_cluster(options: argparse.Namespace, plan: segue.Plan | None) -> ClusterPipeline:
    try:
        from segue.cluster import ClusterPipeline
    except ModuleNotFoundError as missing:
        raise Error(f"--cluster: {missing}", "io") from missing
    return ClusterPipeline(
        plan if plan is not None and Path(options.source).is_file() else options.source,
        options.model,
        address=options.cluster,
        backend=options.backend,
        time_scale=options.time_scale,
        compiler=options.compiler_cmd,
        watchdog_s=options.watchdog,
        queue_capacity=QUEUE_CAPACITY,
        result_capacity=options.max_queue,
        on_loss=_log_loss,
    )


def _labels(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Error(f"--labels {path}: {error}", "invalid_argument") from error


def _log_loss(loss: DeviceLoss | ClusterLoss) -> None:
    logging.warning("%s was lost: %s; %s", loss.device, loss.reason, loss.remedy)


def _service(
    options: argparse.Namespace,
    plan: segue.Plan | None,
    devices: Sequence[tuple[str, Backend]],
    pipeline: segue.Pipeline | ClusterPipeline,
) -> Service:
    engine = Engine(pipeline, options.max_queue)
    name = options.name or (plan.model_name if plan is not None else Path(options.source).stem)
    if not name or "/" in name:
        raise Error(f"--name '{name}': the name is part of URLs and has no '/'", "invalid_argument")
    metrics = Metrics(pipeline, lambda: engine.unanswered, devices)
    pool = ThreadPoolExecutor(os.cpu_count() or 1, "segue-serve")
    service = _of_engine(options, name, engine, pipeline, metrics, pool)
    if options.model is not None:
        service.detection = _detection(options, service, options.model)
    if options.zmq and service.detection is not None:
        service.frigate = _frigate(options, service, service.detection)
    return service


def _of_engine(
    options: argparse.Namespace,
    name: str,
    engine: Engine,
    pipeline: segue.Pipeline | ClusterPipeline,
    metrics: Metrics,
    pool: ThreadPoolExecutor,
) -> Service:
    return Service(
        name=name,
        engine=engine,
        inputs=pipeline.inputs,
        outputs=pipeline.outputs,
        metrics=metrics,
        pool=pool,
        token=options.token,
        max_body=options.max_body * 2**20,
        client_timeout_s=options.client_timeout,
    )


def _frigate(options: argparse.Namespace, service: Service, detection: Detection) -> FrigateServer:
    return FrigateServer(
        detection,
        options.zmq,
        name=service.name,
        max_body=service.max_body,
        max_queue=options.max_queue,
        token=options.token if not options.zmq.startswith("ipc://") else None,
        observe=service.metrics.observe,
    )


def _detection(options: argparse.Namespace, service: Service, source: str) -> Detection | None:
    """Returns None if the model is the pipeline's but not a detector."""
    model = segue.open_model(source)
    names = [tensor.name for tensor in model.outputs]
    missing = set(names) - {port.name for port in service.outputs}
    if missing or [port.name for port in service.inputs] != [t.name for t in model.inputs]:
        raise Error(
            f"{source}: its inputs and outputs are not those of the pipeline; outputs "
            f"{sorted(missing)} are missing",
            "mismatch",
        )
    try:
        detector = segue.Detector(model, score=LOWEST_SCORE)
    except Error as error:
        if options.labels or options.zmq:
            raise
        logging.warning("%s: only the Open Inference Protocol: %s", service.name, error)
        return None
    labels = _labels(options.labels) if options.labels else []
    return Detection(service.engine, detector, names, labels, service.pool)


if __name__ == "__main__":
    sys.exit(main())
