"""The HTTP application: routes of all protocols, health, metrics, start and end of the engine."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, AsyncIterator, Callable, Iterator, MutableMapping, Sequence

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from segue._segue import Port, version
from segue.serve import deepstack, oip
from segue.serve.detection import Detection
from segue.serve.engine import Engine
from segue.serve.errors import Refused, body_of, headers_of, refusal_of
from segue.serve.frigate import FrigateServer
from segue.serve.limits import COMPLETE_AT, App, BoundedRequests, Message, Receive, Send
from segue.serve.metrics import AllMetrics, Metrics

logger = logging.getLogger("segue.serve")

# Requests larger than this are read in a thread, so that they do not hold up other clients.
INLINE_BYTES = 64 * 1024
MODEL_PATHS = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
PING_PATHS = ("/v1/status/ping", "/v1/server/status/ping")
HEALTH_PATHS = ("/v2/health/live", "/v2/health/ready", *PING_PATHS)  # need no token


@dataclass
class Service:
    """State that the routes share."""

    name: str
    engine: Engine
    inputs: Sequence[Port]
    outputs: Sequence[Port]
    metrics: Metrics
    pool: ThreadPoolExecutor
    detection: Detection | None = None  # None: the model of the plan was not given
    frigate: FrigateServer | None = None
    token: str | None = None
    max_body: int = 8 * 1024 * 1024
    client_timeout_s: float = 10.0
    drain_s: float = 30.0
    on_started: Callable[[], None] = field(default=lambda: None)


class Services:
    """The models of a server. Settings that all share are those of the first one."""

    def __init__(self, models: Sequence[Service]) -> None:
        self.first = models[0]
        self._models = {model.name: model for model in models}
        all_metrics = AllMetrics([model.metrics for model in models])
        self.metrics_text = self.first.metrics.text if len(models) == 1 else all_metrics.text

    def __iter__(self) -> Iterator[Service]:
        return iter(self._models.values())

    @property
    def is_ready(self) -> bool:
        return all(model.engine.is_ready for model in self)

    def find(self, name: str, version: str = "1") -> Service:
        """Raises Refused with status 404."""
        if name in self._models and version == "1":
            return self._models[name]
        known = ", ".join(self._models)
        raise Refused(404, f"no model '{name}' version {version}; this is {known}")

    def of_path(self, path: str) -> Service:
        """The model that a path names; the first detector, or the first model, if it names none."""
        words = path.split("/")
        named = words[3] if len(words) > 3 else ""
        if path.startswith("/v1/vision/custom/") and len(words) > 4:
            named = words[4]
        return self._models.get(named) or self.detector

    @property
    def detector(self) -> Service:
        return next((model for model in self if model.detection is not None), self.first)


def make_app(models: Service | Sequence[Service]) -> App:
    """The ASGI application. Its lifespan starts the engines and, at the end, drains them."""
    services = Services([models] if isinstance(models, Service) else models)
    service = services.first

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if service.frigate is not None:
            service.frigate.start()
        for model in services:
            model.engine.start()
        service.on_started()
        yield
        if service.frigate is not None:
            await service.frigate.stop(service.drain_s)
        await asyncio.gather(*(model.engine.close(service.drain_s) for model in services))
        service.pool.shutdown(wait=False)

    app = FastAPI(title="segue", lifespan=lifespan, openapi_url=None)
    _add_health(app, services)
    _add_oip(app, services)
    _add_deepstack(app, services)
    app.add_exception_handler(Exception, _on_error)
    for kind in (Refused, HTTPException):
        app.add_exception_handler(kind, _on_error)
    bounded = BoundedRequests(
        app,
        max_body=service.max_body,
        timeout_s=service.client_timeout_s,
        check=lambda scope: _check(services, scope),
    )
    return _measured(bounded, services)


def _check(services: Services, scope: MutableMapping[str, Any]) -> None:
    """Checks encoding, token and room in the queue before the body is read."""
    headers = dict(scope["headers"])
    path = scope["path"]
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise Refused(415, "compressed requests are not supported; send them as they are")
    # Clients of DeepStack send the token as a field of the form.
    if path not in HEALTH_PATHS and not path.startswith("/v1/vision/"):
        check_token(services.first, headers.get(b"authorization", b""))
    if scope["method"] == "POST" and _protocol_of(path):
        _engine_errors(services.of_path(path).engine.check_room)


def check_token(service: Service, authorization: bytes) -> None:
    """Raises Refused with status 401."""
    if service.token is None:
        return
    expected = f"Bearer {service.token}".encode()
    if not hmac.compare_digest(authorization, expected):
        raise Refused(401, "a token is required: send the header 'Authorization: Bearer TOKEN'")


def _engine_errors(function: Callable[[], None]) -> None:
    try:
        function()
    except Exception as error:
        raise refusal_of(error) from error


async def _on_error(_: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):  # of the router: no such path or method
        error = Refused(error.status_code, str(error.detail))
    refused = refusal_of(error)
    if refused.status == 500:
        logger.error("a request failed", exc_info=error)
    return Response(body_of(refused), refused.status, headers=dict(headers_of(refused)))


def _protocol_of(path: str) -> str:
    """The protocol of a path that runs the pipeline; empty for others."""
    if path.startswith("/v2/models/") and path.endswith("/infer"):
        return "oip"
    if path.startswith("/v1/vision/") and not path.endswith("/list"):
        return "deepstack"
    return ""


def _measured(app: App, services: Services) -> App:
    """Counts and times requests that run the pipeline; status 499: the client disconnected."""

    async def measured(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        protocol = _protocol_of(scope.get("path", "")) if scope["type"] == "http" else ""
        if not protocol:
            await app(scope, receive, send)
            return
        begin = time.perf_counter()
        code = 499

        async def note(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
            await send(message)

        try:
            await app(scope, receive, note)
        finally:
            begin = scope.get(COMPLETE_AT, begin)
            metrics = services.of_path(scope["path"]).metrics
            metrics.observe(protocol, code, time.perf_counter() - begin)

    return measured


def _add_health(app: FastAPI, services: Services) -> None:
    @app.get("/v2/health/live")
    async def live() -> Response:
        is_live = all(model.engine.error is None for model in services)
        return Response(status_code=200 if is_live else 503)

    @app.get("/v2/health/ready")
    async def ready() -> Response:
        return Response(status_code=200 if services.is_ready else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        loop = asyncio.get_running_loop()
        text = await loop.run_in_executor(services.first.pool, services.metrics_text)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def ping() -> Response:
        return JSONResponse({"success": services.is_ready, "message": version()})

    for path in PING_PATHS:
        app.add_api_route(path, ping, methods=["GET"])


def _add_oip(app: FastAPI, services: Services) -> None:
    @app.get("/v2")
    async def server() -> Response:
        return JSONResponse(
            {"name": "segue", "version": version(), "extensions": ["binary_tensor_data"]}
        )

    async def model(name: str, version: str = "1") -> Response:
        service = services.find(name, version)
        return JSONResponse(
            {
                "name": service.name,
                "versions": ["1"],
                "platform": "tensorflow_lite",
                "inputs": oip.metadata_of(service.inputs),
                "outputs": oip.metadata_of(service.outputs),
            }
        )

    async def ready(name: str, version: str = "1") -> Response:
        service = services.find(name, version)
        return Response(status_code=200 if service.engine.is_ready else 503)

    async def infer(request: Request, name: str, version: str = "1") -> Response:
        service = services.find(name, version)
        return await _infer(service, await request.body(), request.headers.get(oip.HEADER_LENGTH))

    for path in MODEL_PATHS:
        app.add_api_route(path, model, methods=["GET"])
        app.add_api_route(path + "/ready", ready, methods=["GET"])
        app.add_api_route(path + "/infer", infer, methods=["POST"])


async def _infer(service: Service, body: bytes, header_length: str | None) -> Response:
    json_bytes = len(body) if header_length is None else oip.header_length(header_length, len(body))
    parsed = await _maybe_in_pool(
        service,
        json_bytes,
        lambda: oip.parse_infer(body, json_bytes, service.inputs, service.outputs),
    )
    result = await service.engine.run(parsed.inputs)
    has_json = not all(wanted.is_binary for wanted in parsed.outputs)
    content, headers = await _maybe_in_pool(
        service,
        sum(port.nbytes for port in service.outputs) if has_json else 0,
        lambda: oip.answer(parsed, service.name, service.outputs, result.outputs),
    )
    return Response(content, headers=headers)


async def _maybe_in_pool(service: Service, size: int, function: Callable[[], Any]) -> Any:
    if size <= INLINE_BYTES:
        return function()
    return await asyncio.get_running_loop().run_in_executor(service.pool, function)


def _add_deepstack(app: FastAPI, services: Services) -> None:
    service = services.first

    async def form_of(request: Request) -> FormData:
        try:
            form = await request.form(
                max_files=deepstack.MOST_FIELDS,
                max_fields=deepstack.MOST_FIELDS,
                max_part_size=service.max_body,
            )
        except (HTTPException, FormParserError) as error:  # damaged or truncated multipart data
            reason = getattr(error, "detail", error)
            raise Refused(400, f"the form cannot be read: {reason}") from error
        if "authorization" in request.headers:
            check_token(service, request.headers["authorization"].encode())
        else:
            check_token(service, f"Bearer {form.get('api_key', '')}".encode())
        return form

    async def detect(request: Request, name: str) -> Response:
        async with contextlib.AsyncExitStack() as closing:
            form = await form_of(request)
            closing.push_async_callback(form.close)
            of = services.find(name)
            if of.detection is None:
                raise Refused(501, "this server has no model for detection; start it with --model")
            confidence = deepstack.min_confidence_of(form)
            found = await of.detection.of_file(await deepstack.image_of(form))
        return JSONResponse(deepstack.answer(found, confidence, of.detection))

    @app.api_route("/v1/vision/custom/list", methods=["GET", "POST"])
    async def models(request: Request) -> Response:
        await form_of(request)
        names = [of.name for of in services]
        return JSONResponse({"success": True, "models": names, "command": "list"})

    @app.post("/v1/vision/detection")
    async def detection(request: Request) -> Response:
        return await detect(request, services.detector.name)

    app.add_api_route("/v1/vision/custom/{name}", detect, methods=["POST"])
