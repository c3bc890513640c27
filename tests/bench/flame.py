"""Folded stacks ("kmsd;main;poll 12", one a line) as a flame graph: an SVG file that needs nothing but a browser."""
import html
import zlib

WIDTH, ROW, FONT = 1200, 16, 11


class Frame:
    def __init__(self):
        self.count, self.children = 0, {}


def tree_of(folded):
    root = Frame()
    for stack, count in folded.items():
        frame = root
        frame.count += count
        for name in stack.split(";"):
            frame = frame.children.setdefault(name, Frame())
            frame.count += count
    return root


def depth_of(frame):
    return 1 + max((depth_of(child) for child in frame.children.values()), default=0)


def colour(name):
    """The same name has the same colour in each picture; the kernel is blue."""
    shade = zlib.crc32(name.encode())
    if name.endswith("_[k]"):
        return f"rgb({110 + shade % 50},{150 + shade % 40},{200 + shade % 50})"
    return f"rgb({215 + shade % 40},{110 + (shade >> 8) % 100},{60 + (shade >> 16) % 40})"


def boxes(frame, total, x, level, top):
    """Yields the SVG of all frames above this one, the widest first."""
    for name, child in sorted(frame.children.items(), key=lambda item: -item[1].count):
        width = child.count / total * WIDTH
        if width >= 2:
            y = top - level * ROW
            text = html.escape(name.removesuffix("_[k]"))
            shown = text if len(name) * FONT * 0.6 < width else html.escape(name[:max(0, int(width / FONT / 0.6) - 2)])
            yield (f'<g><title>{text} {child.count / total:.1%}</title>'
                   f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 1}" fill="{colour(name)}"/>'
                   + (f'<text x="{x + 2:.1f}" y="{y + 11}">{shown}</text>' if len(shown) > 2 else "") + "</g>")
            yield from boxes(child, total, x, level + 1, top)
        x += width


def svg(folded, title):
    root = tree_of(folded)
    height = (depth_of(root) + 2) * ROW
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="DejaVu Sans Mono, monospace" '
             f'font-size="{FONT}">', f"<title>{html.escape(title)}</title>", f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
             f'<text x="4" y="13" font-size="13">{html.escape(title)}</text>',
             *boxes(root, max(root.count, 1), 0, 0, height - ROW), "</svg>"]
    return "\n".join(lines) + "\n"
