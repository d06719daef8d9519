"""The HTTP application: routes of all protocols, health, metrics, start and end of the engine."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, AsyncIterator, Callable, MutableMapping, Sequence

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
from segue.serve.metrics import Metrics

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


def make_app(service: Service) -> App:
    """The ASGI application. Its lifespan starts the engine and, at the end, drains it."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if service.frigate is not None:
            service.frigate.start()
        service.engine.start()
        service.on_started()
        yield
        if service.frigate is not None:
            await service.frigate.stop(service.drain_s)
        await service.engine.close(service.drain_s)
        service.pool.shutdown(wait=False)

    app = FastAPI(title="segue", lifespan=lifespan, openapi_url=None)
    _add_health(app, service)
    _add_oip(app, service)
    _add_deepstack(app, service)
    app.add_exception_handler(Exception, _on_error)
    for kind in (Refused, HTTPException):
        app.add_exception_handler(kind, _on_error)
    bounded = BoundedRequests(
        app,
        max_body=service.max_body,
        timeout_s=service.client_timeout_s,
        check=lambda scope: _check(service, scope),
    )
    return _measured(bounded, service.metrics)


def _check(service: Service, scope: MutableMapping[str, Any]) -> None:
    """Checks encoding, token and room in the queue before the body is read."""
    headers = dict(scope["headers"])
    path = scope["path"]
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise Refused(415, "compressed requests are not supported; send them as they are")
    # Clients of DeepStack send the token as a field of the form.
    if path not in HEALTH_PATHS and not path.startswith("/v1/vision/"):
        check_token(service, headers.get(b"authorization", b""))
    if scope["method"] == "POST" and _protocol_of(path):
        _engine_errors(service.engine.check_room)


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


def _measured(app: App, metrics: Metrics) -> App:
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
            metrics.observe(protocol, code, time.perf_counter() - begin)

    return measured


def _add_health(app: FastAPI, service: Service) -> None:
    @app.get("/v2/health/live")
    async def live() -> Response:
        return Response(status_code=200 if service.engine.error is None else 503)

    @app.get("/v2/health/ready")
    async def ready() -> Response:
        return Response(status_code=200 if service.engine.is_ready else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        loop = asyncio.get_running_loop()
        text = await loop.run_in_executor(service.pool, service.metrics.text)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def ping() -> Response:
        return JSONResponse({"success": service.engine.is_ready, "message": version()})

    for path in PING_PATHS:
        app.add_api_route(path, ping, methods=["GET"])


def _check_model(service: Service, name: str, model_version: str) -> None:
    if name != service.name or model_version != "1":
        raise Refused(404, f"no model '{name}' version {model_version}; this is {service.name}")


def _add_oip(app: FastAPI, service: Service) -> None:
    @app.get("/v2")
    async def server() -> Response:
        return JSONResponse(
            {"name": "segue", "version": version(), "extensions": ["binary_tensor_data"]}
        )

    async def model(name: str, version: str = "1") -> Response:
        _check_model(service, name, version)
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
        _check_model(service, name, version)
        return Response(status_code=200 if service.engine.is_ready else 503)

    async def infer(request: Request, name: str, version: str = "1") -> Response:
        _check_model(service, name, version)
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


def _add_deepstack(app: FastAPI, service: Service) -> None:
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
            if name != service.name:
                raise Refused(404, f"no model '{name}'; this is {service.name}")
            if service.detection is None:
                raise Refused(501, "this server has no model for detection; start it with --model")
            confidence = deepstack.min_confidence_of(form)
            found = await service.detection.of_file(await deepstack.image_of(form))
        return JSONResponse(deepstack.answer(found, confidence, service.detection))

    @app.api_route("/v1/vision/custom/list", methods=["GET", "POST"])
    async def models(request: Request) -> Response:
        await form_of(request)
        return JSONResponse({"success": True, "models": [service.name], "command": "list"})

    @app.post("/v1/vision/detection")
    async def detection(request: Request) -> Response:
        return await detect(request, service.name)

    app.add_api_route("/v1/vision/custom/{name}", detect, methods=["POST"])
