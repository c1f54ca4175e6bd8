"""What helps when something is wrong: the doctor, and what a code means."""
