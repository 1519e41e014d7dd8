"""How many descriptors a viewer may have."""

import resource

from mlxtop.system.descriptors import MANY, allow_many


def test_a_viewer_of_many_programs_gets_the_descriptors_it_needs() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MANY if hard == resource.RLIM_INFINITY else min(MANY, hard)
    try:
        # As macOS has it to begin with.
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, most), hard))
        allow_many()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
