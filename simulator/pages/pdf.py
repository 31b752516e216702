"""A PDF of one page of plain lines, written by hand (PDF 1.4, ISO 32000-1 §7.5): enough for a receipt."""

from __future__ import annotations


def one_page(lines: list[str]) -> bytes:
    """An A4 page with these lines in Helvetica; characters outside Windows-1252 become question marks."""
    shown = [
        line.encode("cp1252", "replace").translate(_ESCAPED_NOT).replace(b"\\", b"\\\\") for line in lines
    ]
    escaped = [line.replace(b"(", b"\\(").replace(b")", b"\\)") for line in shown]
    text = b"BT /F1 12 Tf 16 TL 56 780 Td " + b" ".join(b"(%b) Tj T*" % line for line in escaped) + b" ET"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 5 0 R/Resources<</Font<</F1 4 0 R>>>>>>",
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
        b"<</Length %d>>stream\n%b\nendstream" % (len(text), text),
    ]
    content, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(content))
        content += b"%d 0 obj%b\nendobj\n" % (number, body)
    start = len(content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    content += b"xref\n0 %d\n0000000000 65535 f \n%b" % (len(objects) + 1, table)
    return content + b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)


_ESCAPED_NOT = bytes(byte if byte >= 32 else 32 for byte in range(256))  # Control characters become blanks.
