"""Shifts and days, statements and receipts."""
