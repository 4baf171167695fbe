"""Stores: what is missing, and what that means."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem

from schemas.errors import UserError
from undertone.storage.store import Store


@pytest.mark.parametrize("write", [Store.write, Store.create, Store.replace])
def test_a_bucket_that_is_not_there_is_told_and_not_waited_for(
    write: Callable[[Store, str, bytes], None], tmp_path: Path
) -> None:
    # fsspec's driver of a disk makes no folders by itself, and so answers as those of object stores do.
    store = Store(LocalFileSystem(), f"{tmp_path}/bucket")
    assert store.names("events") == []
    with pytest.raises(UserError, match="/bucket cannot be written: there is no such bucket; create it first"):
        write(store, "part-1.parquet", b"rows")
