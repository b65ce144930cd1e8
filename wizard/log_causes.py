"""What a line of a function's log says about the cause of an error. Pure."""

from __future__ import annotations

import re

from wizard.text import plain, without_secrets

_VARIABLE = r"['\"]?(?P<what>[A-Z][A-Z0-9_]{2,})\b['\"]?"
_LACKING = r"(?i:missing|undefined|not set|not found|not defined|required)"

# (kind, what shows it, the cause in words); the first that fits counts, so the more telling ones come first.
_CAUSES = tuple(
    (kind, re.compile(pattern), text)
    for kind, pattern, text in (
        ("missing variable", rf"KeyError: {_VARIABLE}", "the variable {} is missing"),
        ("missing variable", rf"{_LACKING}[^\n]{{0,60}}(?i:environment variables?):? *{_VARIABLE}",
         "the variable {} is missing"),
        ("missing variable", rf"(?i:environment variables?) {_VARIABLE} (?:is |are )?{_LACKING}",
         "the variable {} is missing"),
        # what a client says of a name that was taken from a variable without a value: boto3, then the SDK for JavaScript
        ("missing variable", r"(?:Invalid type for parameter (?P<what>\w+), value: None|Required parameter name not set)",
         "the variable that names a table or bucket is missing ({})"),
        ("missing variable", r"(?:No value provided for input HTTP label: |Value (?:null|'') at ')(?P<what>\w+)",
         "the variable that names a table or bucket is missing ({})"),
        ("missing parameter", r"ParameterNotFound(?:[^\n]*?(?P<what>/amplify/[\w./-]+))?",
         "the parameter {} was not found"),
        ("access denied", r"not authorized to perform:? (?P<what>[a-z0-9-]+:[A-Za-z]+)", "{} is not allowed"),
        ("access denied", r"(?P<what>AccessDenied(?:Exception)?)", "access was denied ({})"),
        ("import error", r"(?:Import\w*Error|ModuleNotFoundError)[^\n]*?No module named ['\"]?(?P<what>[\w.]+)",
         "the module {} is missing"),
        ("import error", r"Cannot find (?:module|package) ['\"](?P<what>[^'\"]+)['\"]", "the module {} is missing"),
        ("import error", r"(?P<what>Import\w*Error)", "an import failed ({})"),
        ("missing resource", r"(?P<what>ResourceNotFoundException|NoSuchBucket)",
         "a table or bucket does not exist ({})"),
    )
)  # fmt: skip


def classify(message: str) -> tuple[str, str] | None:
    """(kind, cause in words) of a log message; None where it shows no error that is looked for."""
    for kind, pattern, text in _CAUSES:
        if match := pattern.search(message):
            return kind, text.format(plain(without_secrets(match["what"] or "…"), 80))
    return None
