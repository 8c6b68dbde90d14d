"""Addresses as they may be shown: without who logs in, and without a query, which may hold a key."""

from __future__ import annotations

import re

USER = re.compile(r"(?<=://)[^/\s]*@")  # up to the last @: a password may hold one
QUERY = re.compile(r"\?[\w.%~-]+=[^\s'\")>]*")


def without_secrets(text: str) -> str:
    """`text` with every `USER:PASSWORD@` and every `?KEY=VALUE` of an address left out."""
    return QUERY.sub("", USER.sub("", text))
