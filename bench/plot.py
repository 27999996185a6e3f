"""The bench's rows as a bar chart: how far each figure is from its aim, with the first budget marked."""

from xml.sax.saxutils import escape

ROW, LEFT, WIDTH = 24, 470, 360
FONT = 'font-family="system-ui, sans-serif" font-size="12"'
TITLE = "hourpass bench: share of the aim; the tick is the first budget"


def plot(rows, path):
    height = ROW * len(rows) + 60
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 130} {height}" {FONT}>',
        f'<rect width="100%" height="{height}" fill="#fff"/>',
        f'<text x="16" y="24" font-size="14" font-weight="600">{TITLE}</text>',
    ]
    for number, row in enumerate(rows):
        y = 44 + number * ROW
        reached = row.aim / row.value if row.at_most else row.value / row.aim
        budget = row.aim / row.first if row.at_most else row.first / row.aim
        colour = "#2f855a" if row.holds(row.first) else "#c53030"
        tick = LEFT + WIDTH * budget
        lines += [
            f'<text x="{LEFT - 10}" y="{y + 12}" text-anchor="end">{escape(row.name)}</text>',
            f'<rect x="{LEFT}" y="{y}" width="{WIDTH}" height="16" fill="#edf2f7"/>',
            f'<rect x="{LEFT}" y="{y}" width="{WIDTH * min(1, reached):.0f}" height="16" fill="{colour}"/>',
            f'<line x1="{tick:.0f}" x2="{tick:.0f}" y1="{y - 2}" y2="{y + 18}" stroke="#1a202c" stroke-width="2"/>',
            f'<text x="{LEFT + WIDTH + 10}" y="{y + 12}">{row.value:.2f} (aim {row.aim:g})</text>',
        ]
    path.write_text("\n".join([*lines, "</svg>"]) + "\n")
