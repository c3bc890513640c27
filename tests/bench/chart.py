#!/usr/bin/python3
"""Rows of the ratio table as a picture: a bar for each operation and level, against the empty RPC.

    tests/bench/run --chart FILE.svg                    of what was just measured
    tests/bench/chart.py PAGE.md FILE.svg [1x64,4x8]    of the first such table on a page, those connections x calls in flight
"""
import html
import pathlib
import re
import sys

WIDTH, LEFT, BAR, GAP, TOP = 800, 290, 11, 8, 58
TITLE = "Against an empty RPC of the same build, side by side"
CALLS, CPU = "#4a78b0", "#c8843c"


def svg(rows, title):
    """Rows of `tests/bench/run --json`, those of the empty RPC left out."""
    rows = [row for row in rows if row.get("level") not in (None, "none") and "ratio_to_empty" in row]
    step, height = 2 * BAR + GAP, TOP + len(rows) * (2 * BAR + GAP) + 14
    scale = (WIDTH - LEFT - 60) / max(1.0, *(max(row["ratio_to_empty"], row["cpu_ratio_to_empty"]) for row in rows))
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
             'font-family="DejaVu Sans, Arial, sans-serif" font-size="12">',
             f"<title>{html.escape(title)}</title>", f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
             f'<text x="12" y="20" font-size="14" font-weight="bold">{html.escape(title)}</text>',
             f'<rect x="12" y="30" width="12" height="12" fill="{CALLS}"/><text x="29" y="41">calls/s</text>'
             f'<rect x="92" y="30" width="12" height="12" fill="{CPU}"/>'
             '<text x="109" y="41">calls per core-second of server CPU</text>',
             f'<line x1="{LEFT + scale:.1f}" y1="48" x2="{LEFT + scale:.1f}" y2="{height - 8}" stroke="#888" stroke-dasharray="4 3"/>',
             f'<text x="{LEFT + scale:.1f}" y="44" text-anchor="middle" fill="#555">empty RPC</text>']
    for number, row in enumerate(rows):
        y = TOP + number * step
        name = f"{row['operation']}, {row['level']}, {row['transport']}, {row['connections']} x {row['in_flight']}"
        lines.append(f'<text x="{LEFT - 8}" y="{y + BAR + 4}" text-anchor="end">{html.escape(name)}</text>')
        for at, (column, colour) in enumerate((("ratio_to_empty", CALLS), ("cpu_ratio_to_empty", CPU))):
            top, length = y + at * BAR, row[column] * scale
            lines.append(f'<rect x="{LEFT}" y="{top}" width="{length:.1f}" height="{BAR - 1}" fill="{colour}"/>'
                         f'<text x="{LEFT + length + 4:.1f}" y="{top + 9}" font-size="10">{row[column]:.2f}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


ROW = re.compile(r"\| (\w+) \| (HSM|SOFTWARE) \| (\d+) x (\d+) \| ([0-9.]+) \| ([0-9.]+) \|")


def rows_of_page(text, shapes):
    """Those of the first table, which are of mTLS."""
    table = text[text.index("| operation | level | connections x in flight | calls/s against empty"):].split("\n\n")[0]
    for operation, level, connections, in_flight, calls, cpu in ROW.findall(table):
        if f"{connections}x{in_flight}" in shapes:
            yield {"operation": operation, "level": level, "transport": "mtls", "connections": int(connections),
                   "in_flight": int(in_flight), "ratio_to_empty": float(calls), "cpu_ratio_to_empty": float(cpu)}


def main():
    page, to, *shapes = sys.argv[1:]
    rows = list(rows_of_page(pathlib.Path(page).read_text(), (shapes or ["1x64,4x8"])[0].split(",")))
    pathlib.Path(to).write_text(svg(rows, TITLE))


if __name__ == "__main__":
    main()
