"""A bare aiohttp endpoint: reads the body and answers. What any service on aiohttp can at most do.

python -m benchmarks.bare_endpoint PORT
"""

from __future__ import annotations

import sys

from aiohttp import web


async def receive(request: web.Request) -> web.Response:
    """Read, and answer as short as ours does."""
    body = await request.read()
    return web.json_response({"code": 0, "bytes": len(body)})


def main(port: int) -> None:
    """Listen."""
    app = web.Application()
    app.router.add_post("/{path:.*}", receive)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=lambda _: None)


if __name__ == "__main__":
    main(int(sys.argv[1]))
