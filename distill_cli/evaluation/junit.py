"""Verdicts as JUnit XML, which GitLab, Jenkins and others show as tests. No torch.

A gate's name stays the same from build to build, whatever its threshold, so that its history can be followed; its
class name has the student, so that the files of a sweep can be read together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree

from distill_cli.evaluation.gates import Verdict

NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(verdicts: list[Verdict], student: str, properties: Mapping[str, str], seconds: float) -> bytes:
    """One test suite, one test case a gate. `student` is a name without its key."""
    counts = {
        "tests": len(verdicts),
        "failures": sum(not verdict.passed for verdict in verdicts),
        "errors": 0,
    }
    totals = {**{name: str(count) for name, count in counts.items()}, "time": f"{seconds:.3f}"}
    suites = ElementTree.Element("testsuites", {"name": "distill", **totals})
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "gates", "skipped": "0", **totals})
    listed = ElementTree.SubElement(suite, "properties")
    for name, value in properties.items():
        ElementTree.SubElement(listed, "property", {"name": name, "value": _text(value)})
    class_name = f"gates.{_text(student).replace('.', '_')}"  # a dot starts a class within a package
    for verdict in verdicts:
        _add_case(suite, class_name, verdict)
    ElementTree.indent(suites)
    content: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return content


def _add_case(suite: ElementTree.Element, class_name: str, verdict: Verdict) -> None:
    named = {"classname": class_name, "name": verdict.gate, "time": "0"}
    case = ElementTree.SubElement(suite, "testcase", named)
    line = _text(str(verdict))
    if verdict.passed:
        ElementTree.SubElement(case, "system-out").text = line
    else:
        ElementTree.SubElement(case, "failure", {"type": "GateFailed", "message": line}).text = line


def _text(value: str) -> str:
    """Without the characters that no XML can hold, escaped or not."""
    return NOT_IN_XML.sub("?", value)
