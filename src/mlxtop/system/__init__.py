"""The operating system's accounting: of this process, of others, and of the machine."""
