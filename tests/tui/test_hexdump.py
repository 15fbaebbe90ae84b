"""The bytes of a packet as lines."""

from tui.hexdump import BYTES_MAX, bytes_per_line, hexdump
from tui.lines import line_width, text_of


def test_offset_hexadecimal_and_text() -> None:
    """Sixteen bytes a line, unprintable ones as dots."""
    rows = hexdump(b"GET / HTTP/1.1\r\n\x1b[2J", 80)

    assert text_of(rows[0]) == "0000  47 45 54 20 2f 20 48 54  54 50 2f 31 2e 31 0d 0a  GET / HTTP/1.1.."
    assert text_of(rows[1]).endswith(".[2J")


def test_no_byte_reaches_the_line_raw() -> None:
    """Every byte value is drawn with printable characters."""
    assert all(text_of(row).isprintable() for row in hexdump(bytes(range(256)), 80))


def test_narrow_panels_take_fewer_bytes_a_line() -> None:
    """Lines never exceed the panel."""
    assert [bytes_per_line(width) for width in (72, 39, 30)] == [16, 8, 4]
    for width in (72, 39, 30):
        assert max(map(line_width, hexdump(bytes(100), width))) <= width


def test_marked_bytes_stand_out_in_both_columns() -> None:
    """The range of a field is marked in hexadecimal and in text."""
    marked = [text for text, role in hexdump(b"abcdefgh", 80, (2, 4))[0] if role == "accent"]

    assert marked == [" 63 64", "cd"]


def test_long_packets_are_cut_and_say_so() -> None:
    """What is not shown is counted."""
    assert "10 more bytes" in text_of(hexdump(bytes(BYTES_MAX + 10), 80)[-1])
