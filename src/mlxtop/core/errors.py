"""Errors a person is meant to read: one sentence, what happened, to what, what to do."""


class MlxtopError(Exception):
    """An error whose text is ready to be shown. `exit_code` is what a command ends with."""

    exit_code = 1


class UsageError(MlxtopError):
    """Something the person asked for cannot be asked for like that."""

    exit_code = 2


class NoBackendError(MlxtopError):
    """MLX is missing here, or installed without a backend that can run."""

    exit_code = 2
