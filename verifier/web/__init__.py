"""The only place with ``aiohttp.web``: what comes over HTTP, who may call what, and how it is answered.

A newcomer enters by ``server.build`` and the tuples ``ROUTES`` of the modules that answer. A request goes

1. through ``connections``: framing, time for the headers, limits a peer (refused without reading a body);
2. into ``errors.boundary``, which names the request and turns every error into its answer;
3. through ``server``: host, headers, load; then ``oauth.authenticate`` where the route names roles;
4. to the handler, which reads the body through ``bodies`` and calls a port of ``services.Services``.
"""
