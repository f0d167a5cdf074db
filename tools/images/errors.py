"""What can go wrong while images are built.

* ImageError
  - CommandError: a program that the build runs ended with an error; the end of its output is in the text.
  - ToolMissingError: no program that can do the step; the text names what brings it.
  - NoBaseImageError: neither a public base nor a way to make one here.
  - RegistryError: nothing answers where the images should go.
"""


class ImageError(RuntimeError):
    """Building or pushing an image failed; the text says why and what to do."""


class CommandError(ImageError):
    """A program ended with an error."""


class ToolMissingError(ImageError):
    """A needed program is not on this machine and cannot be installed here."""


class NoBaseImageError(ImageError):
    """There is no image to build on."""


class RegistryError(ImageError):
    """The registry does not answer."""
