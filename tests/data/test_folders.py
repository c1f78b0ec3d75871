import pytest

from musiclatent.data.folders import index, tune


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("alone-2-full", "alone"),
        ("alone", "alone"),
        ("sad-js-full", "sad-js"),
        ("super-hacker-fights-ice-variation", "super-hacker-fights-ice"),
        ("80s_vibe", "80s-vibe"),
        ("Full", "full"),
        ("2", "2"),
    ],
)
def test_versions_of_a_tune_have_its_name(name, expected):
    assert tune(name) == expected


def test_a_plain_folder_is_walked_in_order_without_hidden_files(tmp_path):
    names = ["b.wav", 'a/x y\'s "ü"\n.flac', ".hidden/x.wav", ".x.wav", "a/notes.txt"]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    items = index(tmp_path)
    assert items["item_id"].tolist() == [names[1], "b.wav"]
    assert items["path"].tolist() == [str(tmp_path / names[1]), str(tmp_path / "b.wav")]
    assert set(items["label"]) == {""}
