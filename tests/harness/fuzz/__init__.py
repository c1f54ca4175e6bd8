"""The four parsers of what strangers write, and what must hold of each, for any bytes."""
