"""Who may ask the server for anything, and what a page may do.

The address holds a token that nobody can guess. It stays there: a cookie would be sent to every port of
this machine, and along with what other pages request. A name in `Host` that is not loopback's is a foreign
site's that now leads here (DNS rebinding).
"""

import secrets
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

HOSTS = frozenset(("127.0.0.1", "localhost", "::1"))
"""The names in a request to loopback, also through a forwarded port."""
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
    "img-src 'self' data:; connect-src {websocket}; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The page's Content-Security-Policy: it loads nothing from elsewhere and runs no script but its own."""


class Guard:
    """Answers 403 to whoever does not have the token, and to other sites' pages."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(24)

    def allows(self, request: web.Request) -> bool:
        """Whether the request has the token and comes from a page of this server, or from a person."""
        given = request.match_info.get("token", "").encode()
        return secrets.compare_digest(given, self.token.encode()) and _is_ours(request)

    @property
    def middleware(self) -> Middleware:
        """Has aiohttp answer 403 to what is not allowed, whatever is asked for."""

        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            if not self.allows(request):
                raise web.HTTPForbidden(text="Open the address that mlxtop printed.\n", headers=HEADERS)
            return await handler(request)

        return guarded


def _is_ours(request: web.Request) -> bool:
    """Whether a page of this server, or a person, makes the request."""
    host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
    try:
        named = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return named in HOSTS and origin in (None, f"http://{host}")
