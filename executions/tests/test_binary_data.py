"""The bytes of a part are found wherever n8n keeps them, and nothing outside its folder is ever read."""

import base64
from pathlib import Path

import pytest

from executions.n8n.binary_data import BinaryRef, BinaryUnavailable, decode_base64, read

KEY = "workflows/w/executions/temp/binary_data/uuid"


def no_database(file_id: str, max_bytes: int) -> bytes | None:
    raise AssertionError("The database was asked.")


def filesystem(key: str) -> BinaryRef:
    return BinaryRef("filesystem", id=f"filesystem-v2:{key}")


def put(folder: Path, key: str, content: bytes = b"bytes") -> Path:
    path = folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def reason(ref: BinaryRef, folder: Path | None = None, max_bytes: int = 100) -> BinaryUnavailable:
    with pytest.raises(BinaryUnavailable) as raised:
        read(ref, binary_data_path=folder, database=no_database, execution_id=7, max_bytes=max_bytes)
    return raised.value


@pytest.mark.parametrize("data", ["!!!not-base64!!!AAAA", "ñandú", "data:image/jpeg;base64,###", "QUJ"[:1]])
def test_text_that_is_not_base64_is_a_reason(data: str) -> None:
    found = reason(BinaryRef("memory", data=data))
    assert "not valid base64" in found.reason
    assert not found.retryable


@pytest.mark.parametrize("data", ["", None, "data:image/jpeg;base64,"])
def test_nothing_is_a_reason(data: str | None) -> None:
    assert "0 bytes" in reason(BinaryRef("memory", data=data)).reason


@pytest.mark.parametrize("mode", ["s3", "azureblob", "whatever"])
def test_a_storage_that_we_cannot_read_is_named(mode: str) -> None:
    assert mode in reason(BinaryRef(mode, id=f"{mode}:x")).reason


def test_an_unset_folder_is_named_and_tried_again() -> None:
    found = reason(filesystem(KEY))
    assert "Set N8N_BINARY_DATA_PATH" in found.reason
    assert found.retryable


@pytest.mark.parametrize(
    "key",
    ["../secret", "workflows/../../secret", "/etc/passwd", ".", "a\x00b", "workflows/w/executions/../../../../secret"],
)
def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path, key: str) -> None:
    put(tmp_path, "secret", b"secret")
    (tmp_path / "n8n").mkdir()
    found = reason(filesystem(key), tmp_path / "n8n")
    assert "outside the configured folder" in found.reason or "no path" in found.reason
    assert not found.retryable


def test_a_link_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    secret = put(tmp_path, "secret", b"secret")
    link = tmp_path / "n8n" / KEY
    link.parent.mkdir(parents=True)
    link.symlink_to(secret)
    assert "outside the configured folder" in reason(filesystem(KEY), tmp_path / "n8n").reason


def test_a_link_that_leads_to_itself_is_refused(tmp_path: Path) -> None:
    link = tmp_path / KEY
    link.parent.mkdir(parents=True)
    link.symlink_to(link)
    assert reason(filesystem(KEY), tmp_path).reason


def test_an_empty_file_is_a_reason(tmp_path: Path) -> None:
    put(tmp_path, KEY, b"")
    assert "0 bytes" in reason(filesystem(KEY), tmp_path).reason


def test_a_missing_file_may_still_come(tmp_path: Path) -> None:
    found = reason(filesystem(KEY), tmp_path)
    assert "no such file" in found.reason
    assert found.retryable


def test_a_folder_in_place_of_a_file_is_a_reason(tmp_path: Path) -> None:
    (tmp_path / KEY).mkdir(parents=True)
    assert "cannot be read" in reason(filesystem(KEY), tmp_path).reason


def test_an_id_without_a_place_is_a_reason(tmp_path: Path) -> None:
    assert "states no place" in reason(BinaryRef("filesystem", id="filesystem-v2:"), tmp_path).reason
    assert "states no place" in reason(BinaryRef("database", id=None), tmp_path).reason


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    put(tmp_path, KEY, b"x" * 101)
    assert "101 bytes; at most 100" in reason(filesystem(KEY), tmp_path).reason
    put(tmp_path, KEY, b"x" * 100)
    assert len(read(filesystem(KEY), binary_data_path=tmp_path, database=no_database, max_bytes=100)) == 100


def test_base64_that_is_too_large_is_not_decoded() -> None:
    text = base64.b64encode(b"x" * 200).decode()
    assert "at most 100" in reason(BinaryRef("memory", data=text)).reason
    assert len(decode_base64(text, 200)) == 200


@pytest.mark.parametrize("prefix", ["", "data:image/jpeg;base64,", "data:;base64,", "data:image/png;charset=x;base64,"])
@pytest.mark.parametrize("content", [b"a", b"ab", b"abc", b"\xff\xd8\xff" * 50])
def test_base64_is_read_with_prefix_line_breaks_and_without_padding(prefix: str, content: bytes) -> None:
    text = base64.encodebytes(content).decode()
    for written in (text, text.replace("\n", ""), text.replace("\n", "").rstrip("=")):
        assert read(BinaryRef("memory", data=prefix + written), binary_data_path=None, database=no_database) == content


def test_a_file_is_read(tmp_path: Path) -> None:
    put(tmp_path, KEY)
    assert read(filesystem(KEY), binary_data_path=tmp_path, database=no_database) == b"bytes"


def test_a_file_that_n8n_has_moved_is_found_under_its_other_name(tmp_path: Path) -> None:
    put(tmp_path, KEY.replace("temp", "7"))
    assert read(filesystem(KEY), binary_data_path=tmp_path, database=no_database, execution_id=7) == b"bytes"
    with pytest.raises(BinaryUnavailable):
        read(filesystem(KEY), binary_data_path=tmp_path, database=no_database, execution_id=8)


def test_a_file_that_n8n_has_not_moved_yet_is_found_too(tmp_path: Path) -> None:
    put(tmp_path, KEY)
    ref = filesystem(KEY.replace("temp", "7"))
    assert read(ref, binary_data_path=tmp_path, database=no_database) == b"bytes"


def test_a_row_is_asked_for_with_the_limit() -> None:
    asked: list[tuple[str, int]] = []

    def database(file_id: str, max_bytes: int) -> bytes | None:
        asked.append((file_id, max_bytes))
        return b"row" if file_id == "here" else None

    ref = BinaryRef("database", id="database:here")
    assert read(ref, binary_data_path=None, database=database, max_bytes=9) == b"row"
    with pytest.raises(BinaryUnavailable, match="no longer holds"):
        read(BinaryRef("database", id="database:gone"), binary_data_path=None, database=database)
    assert asked[0] == ("here", 9)
