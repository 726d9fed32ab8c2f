"""The one exception whose message is meant for the person at the keyboard."""


class SedreproError(Exception):
    """Something a user can mend: the message is one clear line that says what and where."""
