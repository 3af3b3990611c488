"""How the values of a column go to PostgreSQL: as an array of one known type, in binary.

Psycopg by itself would look at the values for their type: a statement would be another one, to be prepared again, where numbers are
small or a column has nothing but NULL; and what is bytes would go as text.
"""

from typing import Any

import psycopg
from psycopg.types.array import ListBinaryDumper

from steward.database.many import Blobs, Flags, Numbers, Texts

_TYPES = psycopg.adapters.types


class _Texts(ListBinaryDumper):
    element_oid, oid = _TYPES["text"].oid, _TYPES["text"].array_oid


class _Numbers(ListBinaryDumper):
    element_oid, oid = _TYPES["int8"].oid, _TYPES["int8"].array_oid


class _Flags(ListBinaryDumper):
    element_oid, oid = _TYPES["bool"].oid, _TYPES["bool"].array_oid


class _Blobs(ListBinaryDumper):
    element_oid, oid = _TYPES["bytea"].oid, _TYPES["bytea"].array_oid


def teach_arrays(connection: psycopg.Connection[Any]) -> None:
    """Let a connection take the lists of ``many`` as arrays."""
    for kind, dumper in ((Texts, _Texts), (Numbers, _Numbers), (Flags, _Flags), (Blobs, _Blobs)):
        connection.adapters.register_dumper(kind, dumper)
