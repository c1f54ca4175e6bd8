"""The only room that draws, for people and for scripts."""
