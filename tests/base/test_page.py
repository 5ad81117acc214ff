"""A page of tables: whole HTML without script or address, text as it is given, the same bytes for the same parts."""

from html.parser import HTMLParser

import pytest

from madpipe.base.page import columns, folded, heading, paragraph, table, write_page

VOID = {"meta", "br"}


class Reader(HTMLParser):
    """Tags in order, which must close in order, and the text."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(path):
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert reader.open == []
    return reader


@pytest.fixture
def written(tmp_path):
    rows = [{"name": "<b>&", "value": 0.012345, "none": None}, {"name": "failed 1 of 2", "value": 1234567, "none": 2.0}]
    body = table(["what", "value"], columns(rows, ["name", "value", "none"]))
    parts = [paragraph("passed: all"), heading("More"), folded("rest", body)]
    write_page(tmp_path / "page.html", "A & B", parts)
    write_page(tmp_path / "again.html", "A & B", parts)
    return tmp_path / "page.html"


def test_text_stands_as_it_is_and_every_tag_closes(written):
    reader = read(written)
    assert {"A & B", "<b>&", "0.0123", "1,234,567", "-", "2"} <= set(reader.text)


def test_marks_have_their_colour(written):
    classes = [attributes["class"] for _, attributes in read(written).tags if "class" in attributes]
    assert classes == ["madpipe", "passed", "number", "number", "failed", "number", "number"]


def test_nothing_is_fetched_and_nothing_runs(written):
    tags = read(written).tags
    assert "script" not in {tag for tag, _ in tags}
    assert not {"src", "href"} & {name for _, attributes in tags for name in attributes}
    assert "url(" not in written.read_text()
    assert "@import" not in written.read_text()


def test_the_same_parts_give_the_same_bytes(written):
    assert written.read_bytes() == written.with_name("again.html").read_bytes()
