"""One file, one idea: the listing of this folder is the registry of detectors."""
