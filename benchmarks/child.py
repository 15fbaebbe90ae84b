"""One measurement in a process of its own; prints JSON."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from benchmarks.stages import by_stage, whole


def main() -> None:
    """Measure ``whole`` or ``stages`` of the capture in the second argument."""
    what, path = sys.argv[1], Path(sys.argv[2])
    if what == "stages":
        figures = by_stage(path)
    else:
        packets, seconds = whole(path)
        rss_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        figures = {"packets": packets, "seconds": seconds, "rss_mib": rss_mib}
    json.dump(figures, sys.stdout)


if __name__ == "__main__":
    main()
