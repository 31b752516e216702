"""Whole businesses walked through in a browser, one file each."""
