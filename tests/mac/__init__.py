"""A Mac, as far as this machine can look like one to the processes that a test starts.

`Mac` (place.py) starts mlxtop and programs under watch with an environment that does it:

- `site/sitecustomize.py` runs first in every Python: `sys.platform`, `os.uname`, nothing of Linux alone in `os`,
  `select`, `signal`, `socket` and `time` (`waitid`, `pidfd_open`, `epoll`, `SO_PEERCRED`, thread clocks, …), no
  `/proc`, `/sys`, `/run`; LOCAL_PEERCRED; socket paths of 103 bytes; psutil with zeros for children's times;
  MLX's `metal.is_available` and `device_info` as on an M3 Max.
- `libsystem.c`, preloaded: `proc_pid_rusage`, `sysctlbyname`, `host_statistics64`, `thread_info` and what they
  need, with the layouts of Apple's headers. The footprint is the resident size and `MORE` bytes.
- `bin/lsof` first on PATH, and a TMPDIR as long as a Mac's.

What it cannot show: Metal's allocator (it is the CPU's underneath), residency sets, the real timing of anything,
the real answers of the kernel, code signing and "Not allowed to attach", IOKit. psutil is Linux's and may read
`/proc`: on a Mac it asks the kernel.
"""

MORE = 96 * 2**20
"""Bytes by which the footprint is more than the resident size."""
