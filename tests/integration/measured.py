"""Metrics as a dictionary, and the text that Prometheus reads, taken apart strictly."""
import re

NAME = r"[a-z][a-z0-9_]*"
SAMPLE = re.compile(rf'({NAME})(?:\{{({NAME}="(?:[^"\\\n]|\\["\\n])*"(?:,{NAME}="(?:[^"\\\n]|\\["\\n])*")*)\}})? ([0-9]+)')


def key(name, labels):
    return (name, *(f"{label}={value}" for label, value in sorted(labels.items())))


def of_list(reply):
    """{("kmsd_calls_total", "method=Encrypt", "outcome=OK"): 3, ...} of a GetMetricsResponse."""
    found = {}
    for metric in reply.metrics:
        for sample in metric.samples:
            assert key(metric.name, sample.labels) not in found
            found[key(metric.name, sample.labels)] = sample.value
    return found


def of_text(text):
    """The same of the text exposition format 0.0.4, as strict as we write it: help, type, then all values of a metric."""
    assert text.endswith("\n")
    found, named, metric = {}, [], None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            metric = line.split(" ", 3)[2]
            assert metric not in named and line.split(" ", 3)[3], line
            named.append(metric)
        elif line.startswith("# TYPE "):
            assert line in (f"# TYPE {metric} counter", f"# TYPE {metric} gauge"), line
            assert line.endswith(" counter") == metric.endswith("_total"), line
        else:
            name, labels, value = SAMPLE.fullmatch(line).groups()
            assert name == metric, line
            pairs = dict(re.findall(rf'({NAME})="((?:[^"\\]|\\.)*)"', labels or ""))
            assert key(name, pairs) not in found
            found[key(name, pairs)] = int(value)
    return found


def asked(client):
    return of_list(client.GetMetrics())


def risen(before, after):
    """What has another value."""
    return {name: after.get(name, 0) - before.get(name, 0) for name in {*before, *after} if after.get(name, 0) != before.get(name, 0)}
