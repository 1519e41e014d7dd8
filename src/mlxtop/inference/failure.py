"""Error messages for failures of loading and generating."""

from mlxtop.core.errors import MlxtopError
from mlxtop.inference.options import Options

# By name, because huggingface_hub and its HTTP library have moved these classes before.
OFFLINE = (
    "LocalEntryNotFoundError",
    "OfflineModeIsEnabled",
    "ConnectError",
    "ConnectionError",
    "ConnectTimeout",
)


def explain(what: str, options: Options, error: Exception) -> str:
    """Returns one sentence: what failed and why."""
    if isinstance(error, MlxtopError):
        return str(error)
    cause = (" ".join(str(error).split()) or type(error).__name__).rstrip(".?!")
    if what == "load":
        return f"Could not load {options.name}: {_hint(error, cause)}."
    return f"The {what} failed: {type(error).__name__}: {cause}."


def _hint(error: Exception, cause: str) -> str:
    name = type(error).__name__
    if name in ("RepositoryNotFoundError", "HFValidationError"):
        return "no such directory, and no such repository on the Hub (or it needs a login)"
    if name in OFFLINE:
        return "no such directory, and the Hub cannot be reached; check the name and the network"
    return f"{name}: {cause[:300]}"
