"""The other side: what is sent to it, and what its answers prove."""
