"""The road of a payment: open the row, sign, send, read, close the row."""
