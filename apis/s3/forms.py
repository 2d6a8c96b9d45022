"""Forms that browsers post: their fields, and the file behind them as a stream. Pure."""

import re
from email.message import Message

from apis.s3.errors import Refused
from apis.s3.request import Stream

_MOST_FIELDS = 20 * 1024
_READ = 64 * 1024
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{1,70}")


class Form:
    """`fields`: by lower-case name, all that come before the file. `filename`: as the browser says it, without folders.

    Then it is the stream of the file. Raises Refused MalformedPOSTRequest, MaxPostPreDataLengthExceededError, IncompleteBody.
    """

    def __init__(self, source: Stream, content_type: str) -> None:
        boundary = _parameter(content_type, "content-type", "boundary")
        if not _BOUNDARY.fullmatch(boundary):
            raise Refused("MalformedPOSTRequest")
        # Each part but the first begins behind a line end.
        self._source, self._buffer, self._mark = source, b"\r\n", b"\r\n--" + boundary.encode()
        self._ended = False
        self.fields: dict[str, str] = {}
        self.filename = self.file_type = ""
        self._read_fields()

    def read(self, size: int, /) -> bytes:
        """Of the file."""
        while not self._ended:
            end = self._buffer.find(self._mark)
            safe = end if end >= 0 else max(len(self._buffer) - len(self._mark) + 1, 0)
            if safe or end >= 0:
                piece, self._buffer = self._buffer[: min(size, safe)], self._buffer[min(size, safe) :]
                if piece:
                    return piece
                self._ended = True
            else:
                self._more()
        return b""

    def _read_fields(self) -> None:
        left = _MOST_FIELDS
        self._until(self._mark, left)
        while True:
            if self._until(b"\r\n", 8):  # after the last part stand two dashes
                raise Refused("InvalidArgument", "POST requires exactly one file upload per request.", ArgumentName="file")
            head = self._until(b"\r\n\r\n", left)
            name, filename, kind = _described(head)
            if name == "file":
                self.filename, self.file_type = filename, kind
                return
            value = self._until(self._mark, left)
            left -= len(head) + len(value)
            try:
                self.fields.setdefault(name, value.decode())
            except UnicodeDecodeError:
                raise Refused("MalformedPOSTRequest") from None

    def _until(self, mark: bytes, most: int) -> bytes:
        """What stands before the mark, which is taken too."""
        while (end := self._buffer.find(mark)) < 0:
            if len(self._buffer) > most + len(mark):
                raise Refused("MaxPostPreDataLengthExceededError" if most > 8 else "MalformedPOSTRequest")
            self._more()
        found, self._buffer = self._buffer[:end], self._buffer[end + len(mark) :]
        if len(found) > max(most, 0):
            raise Refused("MaxPostPreDataLengthExceededError" if most != 8 else "MalformedPOSTRequest")
        return found

    def _more(self) -> None:
        piece = self._source.read(_READ)
        if not piece:
            raise Refused("IncompleteBody")
        self._buffer += piece


def _described(head: bytes) -> tuple[str, str, str]:
    """(name of the field in lower case, name of the file, content type)."""
    try:
        lines = dict(line.partition(":")[::2] for line in head.decode().split("\r\n"))
    except UnicodeDecodeError:
        raise Refused("MalformedPOSTRequest") from None
    headers = {name.strip().lower(): value.strip() for name, value in lines.items()}
    name = _parameter(headers.get("content-disposition", ""), "content-disposition", "name").lower()
    if not name:
        raise Refused("MalformedPOSTRequest")
    filename = _parameter(headers["content-disposition"], "content-disposition", "filename")
    return name, re.split(r"[/\\]", filename)[-1], headers.get("content-type", "")


def _parameter(header: str, name: str, parameter: str) -> str:
    message = Message()
    message[name] = re.sub(r"[\r\n]", " ", header)
    found = message.get_param(parameter, header=name)
    return found if isinstance(found, str) else ""
