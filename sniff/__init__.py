"""From bytes to columns: sources, decoding, and the state of hosts, flows and contacts."""
