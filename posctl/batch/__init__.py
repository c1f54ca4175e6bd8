"""Many payments from one file."""
