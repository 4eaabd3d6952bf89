"""The company, people without a browser, and people with one."""

from tests.hosts.browser import browser, page, pages
from tests.hosts.company import directory, provider, visitor

__all__ = ["browser", "directory", "page", "pages", "provider", "visitor"]
