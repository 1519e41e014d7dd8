"""The error of recordings."""

from mlxtop.core.errors import MlxtopError


class RecordingError(MlxtopError):
    """A file that cannot be read as a recording, or cannot be written."""
