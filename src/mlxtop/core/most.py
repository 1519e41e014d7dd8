"""The most that a run took: in arrays, in MLX's hands, and in the system's books."""

from typing import NamedTuple

from mlxtop.core.sample import UNKNOWN
from mlxtop.core.units import Units, format_size


class Most(NamedTuple):
    """The highest sizes of a run, in bytes. They need not be of the same moment."""

    peak: int = 0
    """In arrays, between two samples too."""
    total: int = 0
    """What MLX held, its cache included."""
    footprint: int = UNKNOWN
    """What the system charged the process."""

    def describe(self, footprint_kind: str, unified: bool, units: Units = "binary") -> str:
        """Returns one sentence that tells how these go with what other tools show."""
        gpu = "" if unified else ", which nvidia-smi shows with CUDA's own"
        told = [
            f"peak {format_size(self.peak, units)} of arrays",
            f"most MLX held {format_size(self.total, units)}{gpu}",
        ]
        if self.footprint != UNKNOWN:
            shown = SHOWN.get(footprint_kind, "")
            told.append(f"most the system charged {format_size(self.footprint, units)}{shown}")
        return "; ".join(told)


SHOWN = {"phys_footprint": ", as in Activity Monitor", "RSS": ", as top shows (RES)"}
