"""Signs of service enumeration: what scanners ask services and the local link, and who asked it."""
