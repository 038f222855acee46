"""Signature primitives, one file a kind. Pure: bytes, keys and the time in, values or typed errors out.

Nothing here knows a platform, reads a clock or opens a connection. What is not authentic raises
``SignatureRejected`` with one of the ``steps.Step``; a key or secret of ours that must not be used raises
``ConfigurationError``.
"""
