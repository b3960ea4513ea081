"""The hardened XML parser: no document type, no entities, no network, bounded depth."""

import re

from lxml import etree

from rollbook.errors import NOT_XML, CallError

# Characters that XML 1.0 cannot hold, in any spelling.
UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# White space in XML; Unicode's other blanks are text.
WHITE_SPACE = " \t\r\n"

# A document type and what can precede it; possessive, so that matching takes linear time.
_DOCUMENT_TYPE = re.compile(rb"\s*+(?:\xef\xbb\xbf)?(?:(?>\s+|<\?.*?\?>|<!--.*?-->))*+<!DOCTYPE", re.DOTALL)

# The package is UTF-8, whatever its declaration says: many programs declare UTF-16 and send UTF-8.
_PARSER = etree.XMLParser(
    encoding="utf-8",
    resolve_entities=False,
    no_network=True,
    load_dtd=False,
    dtd_validation=False,
    huge_tree=False,
    remove_comments=True,
    remove_pis=True,
)


def parse(package: bytes) -> etree._Element:
    """Parse the UTF-8 text of a package; errors: SU:03, with the line and column."""
    # Checked before parsing, because a long attribute list in a document type takes minutes to parse.
    if _DOCUMENT_TYPE.match(package):
        raise CallError(NOT_XML, "a document type declaration is not allowed")
    try:
        package.decode("utf-8")
        root = etree.fromstring(package.lstrip(), _PARSER)
    except UnicodeDecodeError as error:
        raise CallError(NOT_XML, f"not UTF-8 at byte {error.start}") from None
    except etree.XMLSyntaxError as error:
        raise CallError(NOT_XML, str(error)) from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise CallError(NOT_XML, "a document type declaration is not allowed")
    return root


def text_of(element: etree._Element) -> str:
    """Return an element's own text without the white space around it (protocol T6)."""
    return (element.text or "").strip(WHITE_SPACE)


def name_of(element: etree._Element) -> str:
    """Return an element's name without its namespace, as messages show it."""
    return etree.QName(element).localname
