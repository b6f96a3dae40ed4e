"""Files of each kind become documents. In this process; who reads strangers' files does it in a child."""

import json
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import pytest

from antiphon.core.documents import Document, Heading
from antiphon.extraction.building import ReadError
from antiphon.extraction.limits import ExtractionLimits
from antiphon.extraction.reading import read as read_file
from tests.documents import docx, fixture, package, paragraph, pdf, text_page, word_xml

STYLES = b"""<w:styles xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">
<w:style w:styleId="a"><w:name w:val="heading 2"/></w:style>
<w:style w:styleId="b"><w:name w:val="Mine"/><w:basedOn w:val="a"/></w:style>
<w:style w:styleId="c"><w:name w:val="Other"/><w:pPr><w:outlineLvl w:val="2"/></w:pPr></w:style>
<w:style w:styleId="d"><w:name w:val="Body"/><w:basedOn w:val="d"/></w:style></w:styles>"""


def read(content: bytes, name: str = "", media_type: str = "", **limits: int) -> Document:
    return read_file(content, name, media_type, msgspec.structs.replace(ExtractionLimits(), **limits))


def refused(content: bytes, name: str = "") -> ReadError:
    with pytest.raises(ReadError) as caught:
        read(content, name)
    return caught.value


def lines(document: Document) -> list[str]:
    return [line for line in document.text.split("\n") if line]


def titles(document: Document) -> list[tuple[int, str]]:
    """Each heading, whose line must begin where it says."""
    for one in document.headings:
        line = document.text[one.start :].split("\n", 1)[0]
        assert one.start == 0 or document.text[one.start - 1] == "\n"
        assert one.title.split()[0] in line
    return [(one.level, one.title) for one in document.headings]


# --- documents of real writers ----------------------------------------------------------------------------------
def test_a_pdf_has_pages_and_the_headings_of_its_outline() -> None:
    document = read(fixture("report.pdf"))
    starts = [*document.pages, len(document.text)]
    pages = [document.text[start:end] for start, end in pairwise(starts)]
    assert [f"page {number}: Größe zählt." in page for number, page in enumerate(pages, 1)] == [True] * 3
    assert titles(document) == [(1, "1 Blue whales"), (1, "2 Grey seals"), (2, "Diet"), (1, "3 Arctic terns")]
    assert document.title == "Three animals"


def test_a_docx_has_headings_by_style_and_its_tables_in_rows() -> None:
    document = read(fixture("report.docx"))
    assert titles(document) == [
        (1, "Three animals"),
        *[
            pair
            for animal in ("Blue whales", "Grey seals", "Arctic terns")
            for pair in ((1, animal), (2, "Diet"))
        ],
    ]
    assert lines(document)[-4:] == ["They eat fish.", "name\tmass", "whale\t150 t", "The end."]
    assert document.title == "Three animals"
    assert document.pages == ()


def test_the_slides_of_a_pptx_are_pages_with_their_notes() -> None:
    document = read(fixture("slides.pptx"))
    assert [document.text[at:].split("\n", 1)[0] for at in document.pages] == [
        "Blue whales",
        "Grey seals",
        "Arctic terns",
    ]
    assert [title for _, title in titles(document)] == ["Blue whales", "Grey seals", "Arctic terns"]
    first = document.text[: document.pages[1]]
    assert [line for line in first.split("\n") if line] == [
        "Blue whales",
        "They swim",
        "They eat fish",
        "name\tmass",
        "whale\t150 t",
        "Speak slowly about Blue whales.",
    ]


def test_the_sheets_of_an_xlsx_are_pages_and_dates_are_dates() -> None:
    document = read(fixture("book.xlsx"))
    assert lines(document) == [
        "Sightings",
        "animal\tseen\tcount\tshare\tsure",
        "whale\t2026-05-17\t3\t0.25\tTRUE\t\t\tfar away",
        "seal\t2026-05-18 09:30:00\t12\t0.75\tFALSE",
        "Notes",
        "\ttwo lines",
    ]
    assert [document.text[at:].split("\n", 1)[0] for at in document.pages] == ["Sightings", "Notes"]
    assert titles(document) == [(1, "Sightings"), (1, "Notes")]


def test_a_protected_pdf_says_so() -> None:
    error = refused(fixture("protected.pdf"))
    assert error.code == "invalid_file"
    assert "password" in error.message


# --- DOCX -------------------------------------------------------------------------------------------------------
def test_headings_of_a_docx_come_by_style_name_by_its_ancestor_and_by_outline_level() -> None:
    body = "".join(paragraph(f"in {style}", style) for style in "abcd")
    assert titles(read(docx(body, styles=STYLES))) == [(2, "in a"), (2, "in b"), (3, "in c")]


def test_a_docx_is_read_in_its_order_without_what_was_deleted_or_is_said_twice() -> None:
    body = (
        "<w:p><w:r><w:t>one</w:t><w:tab/><w:t>two</w:t><w:br/><w:t>three</w:t></w:r>"
        "<w:del><w:r><w:delText>gone</w:delText></w:r></w:del>"
        "<w:r><w:instrText>PAGE</w:instrText></w:r></w:p>"
        '<w:p><w:r><AlternateContent xmlns="http://schemas.openxmlformats.org/markup-compatibility/2006">'
        "<Choice><w:p><w:r><w:t>box</w:t></w:r></w:p></Choice>"
        "<Fallback><w:p><w:r><w:t>box</w:t></w:r></w:p></Fallback></AlternateContent></w:r></w:p>"
        "<w:sdt><w:sdtContent><w:p><w:r><w:t>control</w:t></w:r></w:p></w:sdtContent></w:sdt>"
    )
    notes = word_xml(paragraph("a footnote")).replace(b"w:document", b"w:footnotes")
    document = read(docx(body, footnotes=notes))
    assert lines(document) == ["one\ttwo", "three", "box", "control", "a footnote"]


def test_any_prefix_and_the_strict_form_of_a_docx_are_read() -> None:
    body = paragraph("hello").replace("w:", "x0:")
    assert read(docx(body, prefix="x0")).text.strip() == "hello"
    strict = word_xml(paragraph("hello")).replace(
        b"http://schemas.openxmlformats.org/wordprocessingml/2006/main",
        b"http://purl.oclc.org/ooxml/wordprocessingml/main",
    )
    assert read(package({"word/document.xml": strict})).text.strip() == "hello"


# --- web pages, Markdown, e-mail ----------------------------------------------------------------------------------
PAGE = b"""<!DOCTYPE html><html><head><title>A &amp; B</title><style>p {}</style></head><body>
<h1>Top <em>one</em></h1><p>Some <b>bold</b> and<br>broken   text.</p><script>var x = "<p>no</p>";</script>
<ul><li>first<li>second</ul><table><tr><td>1<td>2<tr><td>3<td>4</table><pre>  keep
    this</pre><h3>Low</h3><img alt="a whale" src="x"><template>hidden</template><svg><text>no</text></svg>end</html>"""


def test_a_web_page_is_what_its_reader_sees() -> None:
    document = read(PAGE, "page.html")
    assert lines(document) == [
        "Top one",
        "Some bold and",
        "broken text.",
        "- first",
        "- second",
        "1\t2",
        "3\t4",
        "  keep",
        "    this",
        "Low",
        "a whaleend",
    ]
    assert titles(document) == [(1, "Top one"), (3, "Low")]
    assert document.title == "A & B"


MARKDOWN = """---
title: "The whole"
---
# One *fine* [link](http://x)

text
```sh
# no heading
```
Two
---
| a |
|---|
### Three ###
#hashtag
    # code
~~~
# open
"""


def test_markdown_keeps_its_text_and_its_headings_are_known() -> None:
    document = read(MARKDOWN.encode(), "notes.md")
    assert document.text == MARKDOWN
    assert titles(document) == [(1, "One fine link"), (2, "Two"), (3, "Three")]
    assert document.title == "The whole"


MAIL = """From: =?utf-8?q?J=C3=BCrgen?= <j@example.com>
To: a@example.com,
 b@example.com
Subject: =?utf-8?b?R3LDvMOfZQ==?=
Date: Sat, 21 Nov 2026 10:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=X

--X
Content-Type: multipart/alternative; boundary=Y

--Y
Content-Type: text/html; charset=utf-8

<p>the same in HTML</p>
--Y
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Sch=F6ne Gr=FC=DFe
--Y--
--X
Content-Type: text/html

<p>Only <b>HTML</b></p>
--X
Content-Type: application/pdf; name="bill.pdf"
Content-Disposition: attachment; filename="bill.pdf"
Content-Transfer-Encoding: base64

JVBERi0=
--X--
"""


@pytest.mark.parametrize("name", ["mail.eml", "", "mail.txt"])
def test_a_message_is_its_headers_its_body_and_the_names_of_what_is_attached(name: str) -> None:
    document = read(MAIL.replace("\n", "\r\n").encode(), name)
    assert lines(document) == [
        "From: Jürgen <j@example.com>",
        "To: a@example.com, b@example.com",
        "Date: Sat, 21 Nov 2026 10:00:00 +0000",
        "Subject: Grüße",
        "Schöne Grüße",
        "Only HTML",
        "[attached: bill.pdf]",
    ]
    assert document.title == "Grüße"


# --- plain text ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("table.csv", "a,b\n1,2\n"),
        ("data.json", json.dumps({"a": [1, "ü"]}, indent=1)),
        ("log.jsonl", '{"a": 1}\n{"b": 2}\n'),
        ("deep.json", "[" * 200_000),
        ("main.py", "def f():\n\treturn '<html>'\n"),
        ("view.php", "<html><?php echo 1 ?></html>"),
        ("Makefile", "all:\n\techo\n"),
        ("feed.xml", "<a><b>c</b></a>"),
        ("about.txt", "%PDF-1.4 is how a PDF begins."),
        ("notes", "From: here to there\nit is far.\n"),
    ],
)
def test_text_stays_as_it_is(name: str, text: str) -> None:
    document = read(text.encode(), name)
    assert document.text == text
    assert document.headings == ()


def test_line_ends_are_line_feeds_and_control_characters_go() -> None:
    document = read(b"\xef\xbb\xbfa\r\nb\rc\x0cd\x01e\x1b[0m\x7f\xc2\x85f", "x.txt")
    assert document.text == "a\nb\nc\nde[0m\x85f"


GERMAN = "Die größte Überraschung für Jürgen war „Straße“ \u2013 ein naïves Café.\n"
RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю.\n"
JAPANESE = "これは日本語の文章です。吾輩は猫である。名前はまだ無い。\n"


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", GERMAN + JAPANESE),
        ("utf-8-sig", GERMAN),
        ("utf-16", RUSSIAN),
        ("utf-32", JAPANESE),
        ("utf-16-le", "Wide letters without a mark\n"),
        ("utf-16-be", "Wide letters without a mark\n"),
        ("utf-32-le", "Wide letters without a mark\n"),
        ("utf-32-be", "Wide letters without a mark\n"),
        ("cp1252", GERMAN),
        ("iso8859_15", "Prix : 10 €, où est la bibliothèque ? Être ou ne pas être, garçon.\n"),
        ("cp1250", "Příliš žluťoučký kůň úpěl ďábelské ódy. Zażółć gęślą jaźń.\n"),
        ("iso8859_2", "Zażółć gęślą jaźń, wszystko jest dobrze, proszę.\n"),
        ("cp1251", RUSSIAN),
        ("koi8_r", RUSSIAN),
        ("cp866", RUSSIAN),
        ("cp1253", "\u0397 γρήγορη αλεπού πηδάει πάνω από τον τεμπέλη σκύλο.\n"),
        ("cp1254", "Pijamal\u0131 hasta yağ\u0131z şoföre çabucak güvendi.\n"),
        ("cp1255", "שלום עולם, זהו מסמך בעברית לבדיקה של קידוד הטקסט בקובץ הזה.\n"),
        ("cp1256", "مرحبا بالعالم هذا مستند باللغة العربية.\n"),
        ("cp1257", "Įlinkdama fechtuotojo špaga sublykčiojusi pragręžė apvalų arbūzą.\n"),
        ("cp874", "สวัสดีชาวโลก นี่คือเอกสารภาษาไทย\n"),
        ("cp932", JAPANESE),
        ("euc_jp", JAPANESE),
        ("gb18030", "这是一个中文文档。用于测试编码识别。我们去北京。\n"),
        ("big5", "這是一個中文文件。用於測試編碼識別。我們去台北。\n"),
        ("cp949", "이것은 한국어 문서입니다. 인코딩을 시험합니다.\n"),
    ],
)
@pytest.mark.parametrize("times", [1, 30])
def test_text_in_any_common_encoding_is_read(encoding: str, text: str, times: int) -> None:
    assert read((text * times).encode(encoding), "x.txt").text == text * times


@pytest.mark.parametrize(
    ("content", "name", "media_type"),
    [
        ("é".encode("cp1252"), "x.txt", "text/plain; charset=windows-1252"),
        ("<meta charset=iso-8859-1><p>é".encode("cp1252"), "x.html", ""),
        ("# -*- coding: latin-1 -*-\nx = 'é'".encode("latin-1"), "x.py", ""),
        ("<?xml version='1.0' encoding='ISO-8859-1'?><a>é</a>".encode("latin-1"), "x.xml", ""),
    ],
)
def test_an_encoding_that_is_named_is_believed(content: bytes, name: str, media_type: str) -> None:
    assert "é" in read(content, name, media_type).text


@pytest.mark.parametrize("declared", ["base64", "rot13", "no-such", "zlib"])
def test_a_name_that_is_no_encoding_of_text_is_not(declared: str) -> None:
    text = read(GERMAN.encode("cp1252"), "x.txt", f"text/plain; charset={declared}").text
    assert text == GERMAN


# --- what is not read ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "PNG image"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 100, "JPEG image"),
        (b"\x1f\x8b\x08" + b"x" * 100, "gzip"),
        (b"\x7fELF" + b"\0" * 100, "program"),
        (b"{\\rtf1 hello}", "RTF"),
        (bytes(range(256)) * 8, "neither text"),
        (b"\0" * 1000, "neither text"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "old Office"),
        (package({"a.txt": b"hello"}), "ZIP archive"),
        (package({"a.zip": package({"b.zip": b"x" * 9})}), "ZIP archive"),
        (package({"mimetype": b"application/epub+zip"}), "OpenDocument or EPUB"),
        (package({"xl/workbook.bin": b"x"}), "XLSB"),
        (package({}), "ZIP archive"),
    ],
)
@pytest.mark.parametrize("name", ["", "report.pdf", "notes.txt"])
def test_a_kind_that_is_not_read_is_named(content: bytes, says: str, name: str) -> None:
    error = refused(content, name)
    assert error.code == "unsupported_file"
    assert says in error.message


CUT = fixture("report.docx")[:9_000]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b" \n\t ", "no text"),
        (b"\xef\xbb\xbf", "no text"),
        (b"<html><script>1</script></html>", "no text"),
        (b"\xff\xfea", "marked as UTF-16"),
        (b"\xef\xbb\xbf\xff\xfe", "marked as UTF-8"),
        (CUT, "damaged"),
        (fixture("report.pdf")[:1_000], "no PDF"),
        (pdf(b"<</Type/Catalog>>"), "PDF"),
        (text_page(b""), "no text"),
        (docx(""), "no text"),
        (package({"word/document.xml": b"<w:document"}), "well-formed"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le"),
            "password",
        ),
    ],
)
def test_what_is_broken_or_empty_says_so(content: bytes, says: str) -> None:
    error = refused(content)
    assert error.code == "invalid_file"
    assert says in error.message


LAUGHS = "<!DOCTYPE x [<!ENTITY a 'ha'>{}]>".format(
    "".join(f"<!ENTITY a{at} '{f'&a{at - 1 or str()};' * 10}'>" for at in range(1, 9))
)


@pytest.mark.parametrize(
    "before",
    [
        LAUGHS,
        "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>",
        "<!DOCTYPE x SYSTEM 'http://127.0.0.1/x'>",
    ],
)
def test_entities_are_neither_expanded_nor_fetched(before: str) -> None:
    error = refused(docx(paragraph("&a8;"), before=before))
    assert error.code == "invalid_file"
    assert "document type declaration" in error.message


@pytest.mark.parametrize(
    ("content", "limits", "says"),
    [
        (docx(paragraph("x" * 50_000)), {"max_unpacked_bytes": 40_000}, "unpacks to more than 40,000"),
        (docx(paragraph("x" * 50_000)), {"max_characters": 40_000}, "more than 40,000 characters"),
        (b"x" * 50_000, {"max_characters": 40_000}, "more than 40,000 characters"),
        (b"x" * 200_000, {"max_characters": 40_000}, "more than 40,000 characters"),
        (fixture("report.pdf"), {"max_pages": 2}, "at most 2"),
        (fixture("slides.pptx"), {"max_pages": 2}, "more than 2 pages"),
        (docx("<w:sdt>" * 2_000 + "</w:sdt>" * 2_000), {}, "nested deeper"),
        (package({f"{number}": b"" for number in range(20_001)}), {}, "more than 20,000 parts"),
    ],
)
def test_what_is_too_much_says_of_what(content: bytes, limits: dict[str, int], says: str) -> None:
    with pytest.raises(ReadError) as caught:
        read(content, "", "", **limits)
    error = caught.value
    assert error.code == "invalid_file"
    assert says in error.message


def test_the_first_headings_are_kept_where_there_are_too_many() -> None:
    document = read(b"# x\n" * 100, "x.md", max_headings=10)
    assert document.headings == tuple(Heading(4 * at, 1, "x") for at in range(10))


def test_a_file_that_is_two_kinds_is_read_as_one() -> None:
    """A ZIP archive behind a PDF: the PDF's text, and nothing of the archive."""
    both = text_page(b"the visible text") + docx(paragraph("the other text"))
    document = read(both)
    assert document.text == "the visible text"
    front: Sequence[bytes] = (b"GIF89a", b"<script>")
    for start in front:
        assert read(start + text_page(b"the visible text")).text == "the visible text"
