"""Why extraction of one execution did not succeed. The message is for people; the class says what happens next."""


class ExtractionError(Exception):
    """This attempt failed. It counts; after the last one the item is failed with the message as its reason."""


class NotReadyYet(Exception):
    """n8n has not written the data yet. The item is due again after a moment, and no attempt is counted."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class OutOfService(Exception):
    """Something that every execution needs is down: a database, the image store. No attempt is counted."""
