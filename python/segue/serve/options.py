"""The command line of the server."""

from __future__ import annotations

import argparse
import ipaddress
from pathlib import Path

import segue
from segue.arguments import add_run_options, finish_run_options

DESCRIPTION = "Serve a pipeline to clients of existing protocols (docs/serve.md)"
EPILOG = "Exit status: 0 ended by a signal, 2 usage, 6 the pipeline failed; else as segue."


def parse_options(words: list[str] | None = None) -> argparse.Namespace:
    """Parses the options; ends the program with status 2 if they are wrong."""
    parser = _parser()
    options = parser.parse_args(words)
    if (options.source is None) == (options.plan is None):
        parser.error("name DIR, or a set.json with --plan")
    if options.plan:
        for name in ("model", "labels", "name", "zmq", "cluster"):
            if getattr(options, name):
                parser.error(f"--{name} is for a single model; remove it, or --plan")
    finish_run_options(parser, options)
    _check_together(parser, options)
    options.token = read_token(parser, options.token_file)
    if options.token is None:
        if not is_loopback(options.host):
            parser.error(f"--host {options.host} is reachable by others; add --token-file FILE")
        if options.zmq and not is_local_endpoint(options.zmq):
            parser.error(f"--zmq {options.zmq} is reachable by others; add --token-file FILE")
    return options


def _check_together(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    for name in ("zmq", "labels"):
        if getattr(options, name) and not options.model:
            parser.error(f"--{name} needs --model, which tells how to read detections")
    if options.cluster and options.use:
        parser.error("--use names Edge TPUs of this host; --cluster takes those of its nodes")
    if options.use and options.backend != "edgetpu":
        parser.error("--use requires --backend edgetpu")
    if options.compiler_cmd and not options.cluster:
        parser.error("--compiler-cmd needs --cluster")
    if options.compiler_cmd and (options.backend != "edgetpu" or not options.model):
        parser.error("--compiler-cmd requires --backend edgetpu and --model; it compiles the "
                     "segments of that model")  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="segue serve", description=DESCRIPTION, epilog=EPILOG)
    add = parser.add_argument
    add("source", metavar="DIR", nargs="?", help="folder of segments, or a plan.json (with --model)")
    several = "set.json of several models; for Edge TPUs, that of segue compile"
    add("--plan", metavar="FILE", help=several)
    add("--model", help="the model of the plan; enables detection (DeepStack, Frigate)")
    add("--labels", help="file with one label per class, for detections")
    add("--name", help="name of the model for clients (default: that of the plan)")
    add("--host", default="127.0.0.1", help="address to listen at (default %(default)s)")
    add("--port", type=_port, default=32168, help="port for HTTP (default %(default)s)")
    add("--zmq", metavar="ENDPOINT", help="also serve Frigate, at ipc://PATH or tcp://HOST:PORT")
    add("--token-file", metavar="FILE", help="file with the token that clients must send")
    add("--max-queue", type=_positive, default=64, help="unanswered requests (default %(default)s)")
    add("--max-body", type=_positive, default=8, help="MiB per request (default %(default)s)")
    slow = "seconds that a client may take to send or to read (default %(default)s)"
    add("--client-timeout", type=_positive, default=10, metavar="S", help=slow)
    add("--backend", choices=segue.runtime_names(), default="cpu", help="what computes (default %(default)s)")
    add("--use", nargs="+", metavar="NAME", help="Edge TPUs to use, in this order (default: all)")
    add_run_options(parser)
    cluster = "compute on the Ray cluster at HOST:PORT, or auto for that of this host"
    add("--cluster", metavar="ADDRESS", help=cluster)
    add("--compiler-cmd", metavar="CMD", help="edgetpu_compiler, for a plan.json on a cluster")
    return parser


def read_token(parser: argparse.ArgumentParser, file: str | None) -> str | None:
    if file is None:
        return None
    try:
        token = Path(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        parser.error(f"--token-file: {error}")
    if len(token) < 16 or not token.isprintable() or " " in token:
        parser.error(f"--token-file {file}: the token must have 16 characters or more, no blanks")
    return token


def is_loopback(host: str) -> bool:
    """Returns whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def is_local_endpoint(endpoint: str) -> bool:
    """Returns whether only this machine can reach a ZeroMQ endpoint."""
    kind, _, address = endpoint.partition("://")
    if kind == "tcp":
        return is_loopback(address.rpartition(":")[0])
    return kind in ("ipc", "inproc")


def _positive(text: str) -> int:
    number = int(text)
    if not 0 < number <= 100_000:
        raise argparse.ArgumentTypeError("must be from 1 to 100000")
    return number


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**16:
        raise argparse.ArgumentTypeError("must be a port, or 0 for any")
    return number
