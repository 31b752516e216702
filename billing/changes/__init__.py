"""Changing what was bought: shown to the cent first, then paid for at once or scheduled for the period's end."""
