"""The names that a viewer and the programs it starts agree on: environment variables, a file's ending.

Read in every Python that is started under watch, whatever its version: it imports nothing.
"""

RUN = "MLXTOP"
"""Environment variable: the name of the run that this process belongs to, or `1` for none in particular."""
VIEWER = "MLXTOP_VIEWER"
"""Environment variable: the process of the viewer that started the run."""
LOG = "MLXTOP_LOG"
"""Environment variable: the file that `mlxtop run` gave the program as its output."""
LIMITS = "MLXTOP_LIMITS"
"""Environment variable: limits in bytes to set as MLX is imported: `cache=20971520 memory=8589934592`."""
TRACE = "MLXTOP_TRACE"
"""Environment variable: the file for a trace from MLX's import on, after what is not as usual:
`events=524288 min_size=1024 layers=1 /home/me/a trace.mlxtrace`."""
SOCKETS = "MLXTOP_SOCKETS"
"""Environment variable: the folder in which the viewer looks for sockets, whatever TMPDIR the program has."""
STARTED = ".started"
"""The ending of the file that says that a Python of a run was started under watch."""
