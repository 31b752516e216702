"""What the rooms above are told about the mail room."""

from django.dispatch import Signal

# delivery, explanation (str), now (wall time): the last attempt failed too.
given_up = Signal()
