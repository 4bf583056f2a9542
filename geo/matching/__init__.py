"""Points and legs by the million against boundaries; start with ``places``."""
