"""Errors a person is meant to read: one sentence, what happened, to what, what to do."""


class MlxtopError(Exception):
    """An error whose text is ready to be shown. `exit_code` is what a command ends with."""

    exit_code = 1


def fatal(what: str, error: BaseException) -> MlxtopError:
    """What ended `what`, a thread that never should end: the error's own sentence, or its cause and where it
    came from."""
    if isinstance(error, MlxtopError):
        return error
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    cause = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".?!: ")[:500]
    place = ""
    if trace is not None:
        parts = trace.tb_frame.f_code.co_filename.replace("\\", "/").split("/")
        place = f" ({'/'.join(parts[-2:])}:{trace.tb_lineno})"
    return MlxtopError(f"{what} failed: {cause}{place}; please report this.")


class UsageError(MlxtopError):
    """Something the person asked for cannot be asked for like that."""

    exit_code = 2


class NoBackendError(MlxtopError):
    """MLX is missing here, or installed without a backend that can run."""

    exit_code = 2
