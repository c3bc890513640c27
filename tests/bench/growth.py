#!/usr/bin/python3
"""Tables of docs/performance.md that tell how something grows, as a picture: a small one for each, both axes logarithmic.

    tests/bench/growth.py PAGE.md FILE.svg

A straight line that rises as steeply as the dashed ones grows as its cause does; a quadratic one would rise twice as steeply.
"""
import html
import math
import pathlib
import re
import sys

WIDTH, HEIGHT, COLUMNS = 290, 230, 3
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 46, 34
COLOURS = ("#4a78b0", "#c8843c", "#6a9a5b", "#8a6aa8")
TITLE = "How it grows: each point is a row of docs/performance.md; dashed: in proportion"
CPU = [("SOFTWARE: CPU us/call", "SOFTWARE"), ("HSM: CPU us/call", "HSM")]
EMPTY = [("empty RPC: CPU us/call", "empty RPC")]
# first column of the table, title, (column, name of its line)
PANELS = [("keys", "Seconds to start, against keys", [("start s", "")]),
          ("keys", "Resident MB, against keys", [("resident MB", "")]),
          ("idle connections", "Seconds to connect all, against connections", [("to connect all", "")]),
          ("idle connections", "Resident MB, against connections", [("resident", "")]),
          ("bytes of plaintext", "us of CPU a call, against bytes of plaintext", CPU + EMPTY),
          ("bytes of plaintext", "Resident MB, against bytes of plaintext", [("resident MB", "")]),
          ("bytes of context", "us of CPU a call, against bytes of context", CPU + EMPTY),
          ("bytes of context", "Resident MB, against bytes of context", [("resident MB", "")]),
          ("statements of the key's policy", "us of CPU a call, against statements", CPU),
          ("statements of a policy of its own", "Resident KB a key, against statements", [("resident KB a key", "")])]


def number(cell):
    return float(re.match(r"-?[0-9.,]+", cell.strip())[0].replace(",", ""))


def table(text, first):
    """{column: numbers} of the table that begins with this column."""
    lines = text[text.index(f"\n| {first} |") + 1:].split("\n\n")[0].splitlines()
    head, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in (lines[0], *lines[2:]))
    return {name: [number(row[at]) for row in rows] for at, name in enumerate(head)}


def lines_of(text):
    """[(title, xs, [(name, ys)])] of all panels."""
    found = []
    for first, title, columns in PANELS:
        values = table(text, first)
        found.append((title, values[first], [(name, values[column]) for column, name in columns]))
    return found


def scale(values, low, high):
    """A function from a value to a place, and the powers of ten on the way."""
    least, most = math.log10(min(values)), math.log10(max(values))
    least, most = math.floor(least * 2) / 2, max(math.ceil(most * 2) / 2, math.floor(least * 2) / 2 + 1)
    ticks = [10 ** power for power in range(math.ceil(least), math.floor(most) + 1)]
    return lambda value: low + (math.log10(value) - least) / (most - least) * (high - low), ticks


def short(value):
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def panel(title, xs, lines, left, top):
    points = [(x, name, y) for name, ys in lines for x, y in zip(xs, ys) if x > 0 and y > 0]
    at_x, ticks_x = scale([x for x, _, _ in points], left + LEFT, left + WIDTH - RIGHT)
    at_y, ticks_y = scale([y for _, _, y in points], top + HEIGHT - BOTTOM, top + TOP)
    yield f'<text x="{left + 8}" y="{top + 18}" font-weight="bold" font-size="11">{html.escape(title)}</text>'
    for tick in ticks_x:
        yield (f'<line x1="{at_x(tick):.1f}" y1="{top + TOP}" x2="{at_x(tick):.1f}" y2="{top + HEIGHT - BOTTOM}" stroke="#ddd"/>'
               f'<text x="{at_x(tick):.1f}" y="{top + HEIGHT - BOTTOM + 14}" text-anchor="middle">{short(tick)}</text>')
    for tick in ticks_y:
        yield (f'<line x1="{left + LEFT}" y1="{at_y(tick):.1f}" x2="{left + WIDTH - RIGHT}" y2="{at_y(tick):.1f}" stroke="#ddd"/>'
               f'<text x="{left + LEFT - 5}" y="{at_y(tick) + 4:.1f}" text-anchor="end">{short(tick)}</text>')
    last, least = max(points), min(y for _, _, y in points)
    from_x = max(min(x for x, _, _ in points), last[0] * least / last[2])  # in proportion, through the last point
    yield (f'<line x1="{at_x(from_x):.1f}" y1="{at_y(last[2] * from_x / last[0]):.1f}" x2="{at_x(last[0]):.1f}" '
           f'y2="{at_y(last[2]):.1f}" stroke="#888" stroke-dasharray="4 3"/>')
    for place, (name, ys) in enumerate(lines):
        of = [(x, y) for x, y in zip(xs, ys) if x > 0 and y > 0]
        colour = COLOURS[place]
        path = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in of)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        yield from (f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="3" fill="{colour}"><title>{short(x)}: {y:g}</title></circle>'
                    for x, y in of)
        if name:
            yield f'<text x="{left + LEFT + 4 + place * 72}" y="{top + 36}" fill="{colour}">{html.escape(name)}</text>'


def svg(text):
    panels = lines_of(text)
    height = 30 + -(-len(panels) // COLUMNS) * HEIGHT
    drawn = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * COLUMNS} {height}" '
             'font-family="DejaVu Sans, Arial, sans-serif" font-size="10">',
             f"<title>{html.escape(TITLE)}</title>", f'<rect width="{WIDTH * COLUMNS}" height="{height}" fill="#fff"/>',
             f'<text x="8" y="18" font-size="13">{html.escape(TITLE)}</text>']
    for at, one in enumerate(panels):
        drawn += panel(*one, WIDTH * (at % COLUMNS), 30 + HEIGHT * (at // COLUMNS))
    return "\n".join([*drawn, "</svg>"]) + "\n"


def main():
    page, to = sys.argv[1:]
    pathlib.Path(to).write_text(svg(pathlib.Path(page).read_text()))


if __name__ == "__main__":
    main()
