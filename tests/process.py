"""Tests that need a process of their own: a fresh interpreter, a fresh MLX, an exit code."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MLXTOP = (sys.executable, "-m", "mlxtop")


def python(code: str, *arguments: str, timeout: float = 120) -> Any:
    """Runs `code` in a fresh interpreter; what it prints last is JSON, and is returned as what it stands for."""
    done = run([sys.executable, "-c", code, *arguments], timeout=timeout)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stderr}"
    return json.loads(done.stdout.splitlines()[-1])


def mlxtop(*arguments: str, timeout: float = 120, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs `mlxtop` as a shell would, with nothing to read."""
    return run([*MLXTOP, *arguments], timeout=timeout, **options)


@lru_cache(maxsize=1)
def default_cache_limit() -> int:
    """MLX's own on this machine: 32 MiB on the CPU, the memory limit on Metal and CUDA."""
    return int(python("import json, mlx.core as mx; print(json.dumps(mx.set_cache_limit(0)))"))


def run(command: Sequence[str], timeout: float, env: dict[str, str] | None = None, **options: Any) -> Any:
    if "input" not in options:
        options["stdin"] = subprocess.DEVNULL
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        **options,
    )
