"""Which program this is."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("partner-gateway")
except PackageNotFoundError:
    VERSION = "0"
