"""What is set: profiles, their keys, their secrets."""
