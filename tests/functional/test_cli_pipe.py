from __future__ import annotations

import os
import subprocess
import sys


def test_output_that_nobody_reads_on_ends_the_command_without_a_traceback() -> None:
    """As ``verifier … | head`` does; the status is the shell's own for it."""
    code = (
        "import sys, verifier.cli as cli\n"
        "async def run(*_):\n"
        "    for _ in range(100_000): print('x' * 100)\n"
        "    return 0\n"
        "cli.checking.doctor = run\n"
        "sys.exit(cli.main(['doctor']))\n"
    )
    read, write = os.pipe()
    with subprocess.Popen([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE) as process:
        os.close(write)
        os.close(read)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (141, b"")
