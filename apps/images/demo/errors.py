"""What can go wrong while the demo image is built, in words for the person who asked for it."""


class DemoImageError(Exception):
    """The image cannot be built; the text says why and what to do."""


class PackagesUnknown(DemoImageError):
    """apt's package lists do not name a package that is needed, usually because they are empty."""
