"""Memory and processor use as the operating system reports it: of processes and of the machine."""
