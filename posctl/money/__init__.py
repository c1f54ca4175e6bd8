"""What a payment is and what became of it: pure, with no clock, disk, network or terminal."""
