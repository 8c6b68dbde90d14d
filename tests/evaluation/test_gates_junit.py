"""junit.xml, read back as GitLab and Jenkins read it."""

from xml.etree import ElementTree

from distill_cli.evaluation.gates import Verdict
from distill_cli.evaluation.junit import junit

PASSED = Verdict("min_top1", 0.97, 0.9837, True, "0.9837")
MISSED = Verdict("max_params", 100, 1810, False, "1,810")
UNMEASURED = Verdict("max_latency_ms", 5.0, None, False, "not measured: evaluate.latency=true measures it")


def suite(*verdicts: Verdict, student: str = "mlp_24-digits-kd-t2-a0.9-s0", **properties: str):
    """The one test suite, after parsing."""
    root = ElementTree.fromstring(junit(list(verdicts), student, properties, 1.5))
    assert root.tag == "testsuites"
    (found,) = root
    assert all(root.get(count) == found.get(count) for count in ("tests", "failures", "errors", "time"))
    return found


def test_a_gate_is_a_test_case_and_a_missed_one_a_failure_with_its_line():
    found = suite(PASSED, MISSED, UNMEASURED)
    cases = {case.get("name"): case.find("failure") for case in found.iter("testcase")}
    assert list(cases) == ["min_top1", "max_params", "max_latency_ms"] and cases["min_top1"] is None
    assert cases["max_params"].get("message") == "gates.max_params=100: failed (1,810)"
    assert cases["max_params"].text == cases["max_params"].get("message")
    assert "evaluate.latency=true" in cases["max_latency_ms"].get("message")


def test_the_counts_are_those_of_the_cases():
    found = suite(PASSED, MISSED, UNMEASURED)
    assert (found.get("tests"), found.get("failures"), found.get("errors")) == ("3", "2", "0")
    assert found.get("time") == "1.500"


def test_the_properties_come_before_the_cases():
    found = suite(PASSED, student="mlp", key="ab" * 32)
    assert [child.tag for child in found] == ["properties", "testcase"]
    assert [(p.get("name"), p.get("value")) for p in found.iter("property")] == [("key", "ab" * 32)]


def test_a_case_keeps_its_name_when_the_threshold_moves():
    moved = Verdict("min_top1", 0.5, 0.9837, True, "0.9837")
    names = [suite(verdict).find("testcase").attrib for verdict in (PASSED, moved)]
    assert names[0] == names[1]


def test_students_of_a_sweep_have_cases_of_different_classes():
    classes = {suite(PASSED, student=f"mlp-t{t}-a0.9").find("testcase").get("classname") for t in (1, 2)}
    assert classes == {"gates.mlp-t1-a0_9", "gates.mlp-t2-a0_9"}


def test_whatever_a_path_holds_is_read_back_or_replaced():
    odd = Verdict("reference", "<a&b>\"'\n\x1b\x00é\ud800.json", 0.5, False, "]]>")
    case = suite(odd).find("testcase")
    assert case.find("failure").get("message") == "gates.reference=<a&b>\"'\n??é?.json: failed (]]>)"
