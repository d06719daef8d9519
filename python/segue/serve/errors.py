"""The answer to a request that failed, in a form that clients of all HTTP protocols read."""

from __future__ import annotations

import json
from typing import Mapping

from segue.errors import Error
from segue.serve.engine import Ended, Overloaded

RETRY_AFTER_S = 1


class Refused(Exception):
    """The client's request is at fault, or cannot be answered now."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def refusal_of(error: Exception) -> Refused:
    """Returns status and reason for an exception; unknown ones are not shown to the client."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, (Overloaded, Ended)):
        return Refused(503, str(error))
    if isinstance(error, Error) and error.code == "invalid_argument":
        return Refused(400, str(error))
    return Refused(500, "internal error; the server's log has the reason")


def body_of(refused: Refused) -> bytes:
    """Open Inference Protocol clients read `error`; those of DeepStack read all keys."""
    return json.dumps(
        {"success": False, "error": str(refused), "code": refused.status, "predictions": []}
    ).encode()


def headers_of(refused: Refused) -> Mapping[str, str]:
    headers = {"content-type": "application/json"}
    if refused.status == 503:
        headers["retry-after"] = str(RETRY_AFTER_S)
    if refused.status == 401:
        headers["www-authenticate"] = "Bearer"
    return headers
