from __future__ import annotations

from tests.aws_calls import calls

__all__ = ["calls"]
