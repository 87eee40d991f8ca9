"""The one exception for what a user can put right.

Scripts print an `InputError` as a single line and leave with exit code 1; every
other exception is a defect of ours and keeps its traceback.
"""


class InputError(ValueError):
    """Bad input: its message names the flag, file or field, what was received and what is expected."""
