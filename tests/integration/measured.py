"""Metrics as a dictionary, and the text that Prometheus reads, taken apart strictly."""
import re

NAME = r"[a-z][a-z0-9_]*"
LABEL = rf'{NAME}="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? ([0-9]+(?:\.[0-9]{{9}})?)")


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


def keep_part(buckets, suffix, pairs, value):
    """The parts of a histogram that stand before its count: buckets, then the sum."""
    if suffix == "_sum":
        assert "." in value and key("", pairs) in buckets
        return
    assert suffix == "_bucket"
    bound = float(pairs.pop("le"))
    buckets.setdefault(key("", pairs), []).append((int(value), bound))


def of_text(text):
    """The same of the text exposition format 0.0.4, as strict as we write it: help, type, then all values of a metric."""
    assert text.endswith("\n")
    found, named, metric, buckets = {}, [], None, {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            metric = line.split(" ", 3)[2]
            assert metric not in named and line.split(" ", 3)[3], line
            named.append(metric)
        elif line.startswith("# TYPE "):
            assert line in tuple(f"# TYPE {metric} {kind}" for kind in ("counter", "gauge", "histogram")), line
            histogram = line.endswith(" histogram")
            assert line.endswith(" counter") == metric.endswith("_total"), line
        else:
            name, labels, value = SAMPLE.fullmatch(line).groups()
            pairs = dict(re.findall(rf'({NAME})="((?:[^"\\]|\\.)*)"', labels or ""))
            if histogram and name != f"{metric}_count":
                keep_part(buckets, name.removeprefix(metric), pairs, value)
                continue
            assert name == metric + "_count" * histogram, line
            assert key(metric, pairs) not in found
            found[key(metric, pairs)] = int(value)
            if histogram:  # its count, which the last bucket has, too
                counts, bounds = zip(*buckets.pop(key("", pairs)))
                assert list(counts) == sorted(counts) and counts[-1] == int(value), line
                assert list(bounds) == sorted(set(bounds)) and bounds[-1] == float("inf"), line
    assert not buckets
    return found


def asked(client):
    return of_list(client.GetMetrics())


def risen(before, after):
    """What has another value."""
    return {name: after.get(name, 0) - before.get(name, 0) for name in {*before, *after} if after.get(name, 0) != before.get(name, 0)}
