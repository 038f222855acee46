"""Asks a service for its feed over HTTP: a token for a signed assertion, one answer at a time, all bounded.

HTTPS, or plain HTTP to this machine alone; never redirected. What may pass (no connection, 429, 503, an
answer that breaks off) is ``Busy``; whatever else the service says is an error with the service's own code.
"""

from __future__ import annotations

import ipaddress
import json
import secrets
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import aiohttp

from verifier.errors import AccessDenied, Code, ConfigurationError, LedgerRefused, Unavailable, VerifierError
from verifier.ports import Clock
from verifier.signatures import base64url, jws, strict_json
from verifier.signatures.jws import SigningKey

MAX_ANSWER_BYTES: Final = 128 * 1024 * 1024
SECONDS: Final = 60.0
"""Without a byte, beside what was agreed to wait."""
LIFETIME: Final = 120
RENEW_SECONDS: Final = 60.0
"""Before a token ends."""
_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_NDJSON: Final = "application/x-ndjson"
_OK, _UNAUTHORISED = 200, 401
_PASSING: Final = frozenset({408, 429, 502, 503, 504})
_LONGEST_WAIT: Final = 60.0


class Busy(Unavailable):
    """Try again.

    Attributes:
        seconds: not before; 0 where nobody said.
    """

    def __init__(self, detail: str, seconds: float = 0.0) -> None:
        super().__init__(Code.OVERLOADED, detail)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Account:
    """Who asks, and whom.

    Attributes:
        base: the service's address, without a slash at its end.
        audience: what the service calls itself; mostly the same.
    """

    base: str
    client_id: str
    key: SigningKey = field(repr=False)
    audience: str


def address(text: str) -> str:
    """A service's address.

    Raises:
        ConfigurationError: neither https nor plain http to this machine.
    """
    plain = text.isascii() and text.isprintable() and not set(text) & set("?#@\\ ")
    try:
        parts = urlsplit(text if plain else "")
        scheme, host = parts.scheme, parts.hostname if parts.port != 0 else None
    except ValueError:
        scheme, host = "", None
    if host and (scheme == "https" or (scheme == "http" and _is_local(host))):
        return text.rstrip("/")
    raise ConfigurationError(
        Code.CONFIGURATION_INVALID, "https, or http to this machine, is needed", pointer="from"
    )


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class FeedClient:
    """One client of one service."""

    def __init__(
        self, session: aiohttp.ClientSession, account: Account, clock: Clock, trusted: ssl.SSLContext
    ) -> None:
        self._session = session
        self._account = account
        self._clock = clock
        self._trusted = trusted
        self._token = ""
        self._until = 0.0

    async def page(self, query: Mapping[str, str | int], wait: int) -> list[bytes]:
        """The lines of one answer of the feed, whole.

        Args:
            query: ``after`` and what else is asked.
            wait: seconds that the service may wait for an entry.

        Raises:
            Busy: try again.
            LedgerRefused: CURSOR_AHEAD.
            AccessDenied: the service does not let this client in, or not to what it asks for.
            VerifierError: anything else that the service says.
        """
        path = f"/v1/feed?{urlencode({**query, 'wait': wait})}"
        try:
            return await self._page(path, wait)
        except AccessDenied as refused:
            if refused.code is not Code.TOKEN_REFUSED or not self._token:
                raise
            self._token = ""  # the service was started anew, or the registration changed
            return await self._page(path, wait)

    async def _page(self, path: str, wait: int) -> list[bytes]:
        headers = {"Authorization": f"Bearer {await self._bearer()}", "Accept": _NDJSON}
        body = await self._ask("GET", path, headers, None, wait + SECONDS)
        if not body.endswith(b"\n"):
            raise Busy("the answer breaks off")
        return bytes(body).splitlines()

    async def _bearer(self) -> str:
        if not self._token or time.monotonic() >= self._until:
            self._token = ""
            form = {
                "grant_type": "client_credentials",
                "client_assertion_type": _ASSERTION_TYPE,
                "client_assertion": self._assertion(),
            }
            asked = time.monotonic()
            answer = _object(await self._ask("POST", "/oauth/token", {}, form, SECONDS))
            token, lasts = answer.get("access_token"), answer.get("expires_in")
            if not isinstance(token, str) or not isinstance(lasts, int):
                raise VerifierError(Code.INTERNAL, "the token's answer is not as documented")
            self._token, self._until = token, asked + max(lasts - RENEW_SECONDS, 1.0)
        return self._token

    def _assertion(self) -> str:
        """A JWT that proves who asks (RFC 7523); without ``kid``, since the client has one key."""
        key, issued = self._account.key, int(self._clock().timestamp())
        header: dict[str, strict_json.JsonValue] = {"alg": key.algorithm.value, "typ": "JWT"}
        claims: dict[str, strict_json.JsonValue] = {
            "iss": self._account.client_id,
            "sub": self._account.client_id,
            "aud": self._account.audience,
            "iat": issued,
            "exp": issued + LIFETIME,
            "jti": secrets.token_hex(16),
        }
        parts = (base64url.encode(strict_json.canonical(part)) for part in (header, claims))
        signed = ".".join(parts)
        return f"{signed}.{base64url.encode(jws.signature(signed.encode('ascii'), key))}"

    async def _ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None,
        seconds: float,
    ) -> bytearray:
        try:
            async with self._session.request(
                method,
                self._account.base + path,
                headers={"Accept-Encoding": "identity", **headers},
                data=form,
                allow_redirects=False,
                ssl=self._trusted,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=SECONDS, sock_read=seconds),
            ) as response:
                body = bytearray()
                async for piece in response.content.iter_any():
                    body += piece
                    if len(body) > MAX_ANSWER_BYTES:
                        raise VerifierError(Code.REQUEST_TOO_LARGE, "the answer is too long: ask for less")
                if response.status != _OK:
                    raise _error(response, body)
                return body
        except (aiohttp.ClientSSLError, aiohttp.InvalidURL) as failure:
            raise ConfigurationError(
                Code.CONFIGURATION_INVALID, f"no trusted connection: {type(failure).__name__}", pointer="from"
            ) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as failure:
            raise Busy(f"the service does not answer: {type(failure).__name__}") from None


def _error(response: aiohttp.ClientResponse, body: bytes | bytearray) -> VerifierError:
    """What the service said, as an error of ours with its code."""
    if response.status in _PASSING:
        after = response.headers.get("Retry-After", "")
        return Busy(f"the service answered {response.status}", float(after) if after.isdecimal() else 0.0)
    try:
        said = _object(body)
        code, pointer = Code(str(said.get("code"))), str(said.get("pointer", ""))
    except (ValueError, VerifierError):
        return VerifierError(Code.INTERNAL, f"the service answered {response.status}, and not as documented")
    if code is Code.CURSOR_AHEAD:
        return LedgerRefused(code, "the service's ledger ends before the cursor")
    if response.status == _UNAUTHORISED:
        return AccessDenied(code, "the service does not know this client by this key")
    return AccessDenied(code, f"the service answered {response.status}", pointer=pointer[:64])


def _object(body: bytes | bytearray) -> dict[str, Any]:
    try:
        found = json.loads(bytes(body))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise VerifierError(Code.INTERNAL, "the answer is not as documented")
    return found
