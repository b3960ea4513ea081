"""Draws the queue's last hours as SVG: bars for accepted and unenrolled items, a line for pending ones."""

from collections.abc import Sequence

from markupsafe import Markup

from rollbook.console.render import count
from rollbook.store.queue.hourly import Hour

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 1200, 160, 56, 12, 14, 28
_SVG = Markup(
    '<svg class="hours" viewBox="0 0 {width} {height}" role="img" aria-labelledby="hours-title hours-text">'
    '<title id="hours-title">The last {hours} hours</title><desc id="hours-text">{text}</desc>{content}</svg>'
)
_BAR = Markup('<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>')
_RULE = Markup('<line class="rule" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
_TEXT = Markup('<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>')


def draw_chart(hours: Sequence[Hour]) -> Markup:
    """Draw the hours from left to right."""
    top = _round_up(max(max(hour.accepted, hour.completed, hour.waiting) for hour in hours))
    slot, floor = (WIDTH - LEFT - RIGHT) / len(hours), HEIGHT - BOTTOM
    scale = (floor - TOP) / top
    parts = [_rule(share * top, floor - share * top * scale) for share in (0, 0.5, 1)]
    for place, hour in enumerate(hours):
        x = LEFT + place * slot
        bars = (("accepted", hour.accepted, 0.12), ("completed", hour.completed, 0.5))
        parts += [
            _BAR.format(kind=kind, x=x + at * slot, y=floor - n * scale, width=slot * 0.36, height=n * scale)
            for kind, n, at in bars
            if n
        ]
        if place % 4 == (len(hours) - 1) % 4:
            parts.append(_TEXT.format(x=x + slot / 2, y=HEIGHT - 8, anchor="middle", text=f"{hour.begins_at:%H}:00"))
    points = " ".join(
        f"{LEFT + (place + 0.5) * slot:.1f},{floor - hour.waiting * scale:.1f}" for place, hour in enumerate(hours)
    )
    parts.append(Markup('<polyline class="waiting" points="{}"/>').format(points))
    content = Markup("").join(parts)
    return _SVG.format(width=WIDTH, height=HEIGHT, hours=len(hours), text=describe_hours(hours), content=content)


def describe_hours(hours: Sequence[Hour]) -> str:
    """Return the chart's text alternative."""
    accepted, completed = sum(hour.accepted for hour in hours), sum(hour.completed for hour in hours)
    most = max(hours, key=lambda hour: hour.waiting)
    return (
        f"{count(accepted, 'item')} accepted, {completed:,} unenrolled; {hours[-1].waiting:,} pending now, "
        f"at most {most.waiting:,}, at the end of the hour from {most.begins_at:%H}:00 UTC."
    )


def _rule(value: float, y: float) -> Markup:
    label = _TEXT.format(x=LEFT - 6, y=y + 4, anchor="end", text=f"{value:,.0f}")
    return _RULE.format(left=LEFT, right=WIDTH, y=y) + label


def _round_up(value: int) -> int:
    """Round up to 1, 2 or 5 times a power of 10, and to at least 10."""
    step = 10
    while True:
        for factor in (1, 2, 5):
            if step * factor >= value:
                return step * factor
        step *= 10
