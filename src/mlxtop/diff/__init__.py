"""Two runs compared: what changed between two recordings, traces, sweeps or `--json` outputs."""
