"""The one error of this package: it says what is wrong and what to do next."""


class ClusterError(Exception):
    """A cluster could not be started, changed or removed.

    The message is for a person: its cause first, then the command or the change that helps.
    """
