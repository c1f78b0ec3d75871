"""Voila as `voila` starts it: addresses that its handlers trip over are answered with 404."""

import sys
from urllib.parse import unquote

from tornado.web import Application, ErrorHandler


def is_odd(path: str) -> bool:
    """Return whether the path of an address leads to nothing and makes a handler fail.

    Parameters
    ----------
    path
        As it was asked for, before any question mark.
    """
    try:
        text = unquote(path, errors="strict")
    except UnicodeDecodeError:
        return True
    _, found, behind = text.partition("/voila/templates/")
    cut_short = bool(found) and behind.count("/") < 2  # name, static, file
    return not text.isprintable() or cut_short or ".." in text.split("/")


def main() -> None:
    """Run Voila with the arguments of the command line."""
    # As in `cli.main`: 2 s for grammars of web addresses, which no page of ours has.
    sys.modules.setdefault("rfc3987_syntax", None)
    from voila.app import Voila

    find_handler = Application.find_handler

    def find(application: Application, request, **options):
        """Return what answers a request."""
        if is_odd(request.path):
            return application.get_handler_delegate(request, ErrorHandler, {"status_code": 404})
        return find_handler(application, request, **options)

    Application.find_handler = find
    Voila.launch_instance()


if __name__ == "__main__":
    main()
