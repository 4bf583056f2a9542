"""Where things are: boundary files for GIS staff, and matching of positions; knows nothing of officers."""
