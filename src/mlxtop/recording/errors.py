"""What can be wrong with a recording, each in one sentence."""

from mlxtop.core.errors import MlxtopError


class RecordingError(MlxtopError):
    """A file that cannot be read as a recording, or cannot be written."""
