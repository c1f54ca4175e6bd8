"""The counter loop: amount, scan, verdict, next."""
