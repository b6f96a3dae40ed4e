"""What reading one document may cost."""

import msgspec


class ExtractionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Whatever goes beyond one of these ends as a file that cannot be read, with the reason."""

    max_bytes: int = 256 * 1024 * 1024
    """Of the file itself."""
    max_unpacked_bytes: int = 256 * 1024 * 1024
    """Of what is unpacked from a ZIP package (DOCX, PPTX, XLSX), all parts together."""
    max_characters: int = 32 * 1024 * 1024
    """Of the text that comes out."""
    max_pages: int = 10_000
    """Pages, slides or sheets."""
    max_headings: int = 50_000
    memory_bytes: int = 1024 * 1024 * 1024
    """Address space of a child."""
    cpu_s: int = 60
    wall_s: float = 120.0
    """From the last byte of the file to the answer."""
    start_s: float = 30.0
    """Until a new child is ready."""
    workers: int = 2
    """Children that read at once; each is started when first needed."""
    documents_per_worker: int = 500
    """A child that has served so many is replaced."""
