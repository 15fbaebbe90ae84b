"""From snapshot to cells: the operator's screens."""
