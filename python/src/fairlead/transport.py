"""One HTTP conversation with a server: addresses, timeouts, safe retries, readable errors."""

from __future__ import annotations

import ipaddress
import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from .errors import FairleadError

DEFAULT_SERVER = "http://127.0.0.1:8080"

# Answers after which the same request may succeed.
_RETRY_STATUS = frozenset({429, 502, 503, 504})
_ATTEMPTS = 4
_BACKOFF = 0.2  # seconds before the second attempt; doubles
_MAX_WAIT = 5.0  # a longer Retry-After is handed to the caller as an error

_CODES = {
    400: "invalid",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    413: "too_large",
    422: "invalid",
    429: "exhausted",
    499: "canceled",
    501: "unsupported",
    503: "unavailable",
    504: "deadline",
}


def server_address(server: str | None) -> str:
    """The base URL: the argument, else FAIRLEAD_SERVER, else http://127.0.0.1:8080. A missing scheme means http."""
    address = (server or os.environ.get("FAIRLEAD_SERVER") or DEFAULT_SERVER).strip()
    if "://" not in address:
        address = "http://" + address
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise FairleadError(f"{server!r} is not a server address", hint=f"write it like {DEFAULT_SERVER!r}")
    return address.rstrip("/")


def segment(name: str) -> str:
    """name as one segment of a URL's path."""
    if not isinstance(name, str) or not name:
        raise FairleadError(
            f"expected a name, got {name!r}", hint='write the name of a deployment, for example "flights"'
        )
    return quote(name, safe="")


class Transport:
    """Sends requests and turns everything that goes wrong into FairleadError. Not for concurrent use by threads
    that also close it. ``handler`` replaces the network in tests; ``sleep`` waits between attempts."""

    def __init__(
        self,
        server: str | None = None,
        timeout: float | None = 30.0,
        handler: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.server = server_address(server)
        self._timeout = timeout
        self._sleep = sleep
        connect = 5.0 if timeout is None else min(5.0, timeout)
        self._http = httpx.Client(
            base_url=self.server,
            timeout=httpx.Timeout(timeout, connect=connect),
            transport=handler,
            # A proxy from the environment cannot reach this machine's own loopback.
            trust_env=not _is_loopback(self.server),
        )

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """GET, tried again while the server is not reachable or busy."""
        return self._send("GET", path, params=params, attempts=_ATTEMPTS)

    def post(self, path: str, body: Any, *, safe: bool = False) -> Any:
        """POST body as JSON. safe says that the server does the same thing once when it gets the request twice, so
        that it may be tried again."""
        try:
            content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        except (TypeError, ValueError) as e:
            raise FairleadError(f"cannot write the request as JSON: {e}") from e
        return self.upload(path, content, "application/json", safe=safe)

    def upload(
        self,
        path: str,
        content: bytes,
        content_type: str,
        params: Mapping[str, Any] | None = None,
        *,
        safe: bool = False,
    ) -> Any:
        """POST bytes."""
        headers = {"Content-Type": content_type}
        return self._send(
            "POST", path, params=params, content=content, headers=headers, attempts=_ATTEMPTS if safe else 1
        )

    def _send(
        self, method: str, path: str, *, attempts: int, params: Mapping[str, Any] | None = None, **kw: Any
    ) -> Any:
        query = {k: v for k, v in (params or {}).items() if v is not None}
        for attempt in range(1, attempts + 1):
            wait = _BACKOFF * 2 ** (attempt - 1)
            try:
                response = self._http.request(method, path, params=query, **kw)
            except httpx.HTTPError as e:
                # A timeout already cost the caller as long as they were willing to wait.
                if attempt == attempts or isinstance(e, httpx.TimeoutException):
                    raise self._unreachable(e) from e
                self._sleep(wait)
                continue
            if response.status_code in _RETRY_STATUS and attempt < attempts:
                asked = _retry_after(response)
                if asked is None or asked <= _MAX_WAIT:
                    self._sleep(wait if asked is None else asked)
                    continue
            return _decode(response)
        raise AssertionError("attempts is at least 1")

    def _unreachable(self, e: httpx.HTTPError) -> FairleadError:
        if isinstance(e, httpx.ConnectError | httpx.ConnectTimeout):
            return FairleadError(
                f"no fairlead server answers at {self.server} ({e})",
                code="unavailable",
                hint="start one with `fairlead serve`, or name another with server=… or FAIRLEAD_SERVER",
            )
        if isinstance(e, httpx.TimeoutException):
            return FairleadError(
                f"{self.server} did not answer within {self._timeout} s",
                code="deadline",
                hint="give the client a longer timeout=…, or send fewer rows at a time",
            )
        return FairleadError(f"the connection to {self.server} broke: {e or type(e).__name__}", code="unavailable")


def _is_loopback(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _retry_after(response: httpx.Response) -> float | None:
    try:
        return max(0.0, float(response.headers["Retry-After"]))
    except (KeyError, ValueError):
        return None


def _decode(response: httpx.Response) -> Any:
    if response.is_success:
        try:
            return response.json()
        except ValueError as e:
            raise FairleadError(
                f"{response.request.url} answered with something that is not JSON: {response.text[:120]!r}",
                code="internal",
                status=response.status_code,
                hint="is this a fairlead server?",
            ) from e
    raise _error(response)


def _error(response: httpx.Response) -> FairleadError:
    status = response.status_code
    code = _CODES.get(status, "invalid" if status < 500 else "internal")
    message, hint = "", ""
    try:
        body = response.json()
    except ValueError:
        body = None
    if isinstance(body, dict) and isinstance(body.get("error"), str):
        message, hint, code = body["error"], str(body.get("hint") or ""), str(body.get("code") or code)
    if not message:
        message = response.text.strip()[:200] or response.reason_phrase
        message = f"{response.request.method} {response.request.url.path}: {status} {message}"
    return FairleadError(message, code=code, hint=hint, status=status)
