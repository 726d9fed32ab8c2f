"""The pictures of ToyAVE: a coloured shape that moves among grey ones over a grainy ground."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

COLOURS = np.array([(235, 60, 50), (60, 190, 70), (65, 105, 240), (240, 200, 40)], np.float32)
Inside = Callable[[np.ndarray, np.ndarray], np.ndarray]
# Whether (x, y) in [-1, 1] is inside each shape.
SHAPES: tuple[Inside, ...] = (
    lambda x, y: x * x + y * y < 1,
    lambda x, y: np.maximum(abs(x), abs(y)) < 0.85,
    lambda x, y: (y < 0.8) & (y > 2 * abs(x) - 1),
    lambda x, y: (x * x + y * y < 1) & (x * x + y * y > 0.3),
    lambda x, y: (np.minimum(abs(x), abs(y)) < 0.3) & (np.maximum(abs(x), abs(y)) < 1),
    lambda x, y: np.sqrt(abs(x)) + np.sqrt(abs(y)) < 1.1,
    lambda x, y: (abs(y) < 0.35) & (abs(x) < 1),
)
RADIUS = 9.0  # pixels
FASTEST = 6.0  # pixels per frame


def look(category: int) -> tuple[Inside, np.ndarray]:
    """The shape and colour of a category; the first 28 all differ."""
    shape, register = category % len(SHAPES), category // len(SHAPES)
    return SHAPES[shape], COLOURS[(register + shape) % len(COLOURS)]


def film(
    draw: np.random.Generator, seen: Sequence[int], *, rate: int, pixels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Frames (time, pixels, pixels, 3) in uint8 and boxes (second, 4) as shares of the picture."""
    count = len(seen) * rate
    ground = draw.uniform(60, 130) + 8 * draw.standard_normal((pixels, pixels, 1))
    frames = np.broadcast_to(ground, (count, pixels, pixels, 3)).astype(np.float32).copy()
    frames += 2 * draw.standard_normal((count, pixels, pixels, 1), dtype=np.float32)
    for _ in range(int(draw.integers(0, 4))):
        shape = SHAPES[int(draw.integers(len(SHAPES)))]
        grey = np.full(3, draw.uniform(20, 200), np.float32)
        path = _path(draw, count, pixels, RADIUS)
        for t in range(count):
            _paint(frames[t], shape, grey, path[t], RADIUS * 0.8)
    path = _path(draw, count, pixels, RADIUS)
    sizes = RADIUS * (1 + 0.1 * draw.standard_normal(count).clip(-1.5, 1.5))
    for t in range(count):
        if seen[t // rate] >= 0:
            _paint(frames[t], *look(seen[t // rate]), path[t], sizes[t])
    boxes = np.zeros((len(seen), 4))
    for second, category in enumerate(seen):
        if category >= 0:
            t = second * rate + rate // 2
            corner = np.concatenate([path[t] - sizes[t], path[t] + sizes[t]])
            boxes[second] = (corner / pixels).clip(0, 1)
    return frames.clip(0, 255).astype(np.uint8), boxes


def _path(draw: np.random.Generator, count: int, pixels: int, margin: float) -> np.ndarray:
    """Centres (time, 2) of something that flies straight and bounces off the edges."""
    room = pixels - 2 * margin
    angle, speed = draw.uniform(0, 2 * np.pi), draw.uniform(0, FASTEST)
    step = speed * np.array([np.cos(angle), np.sin(angle)])
    free = draw.uniform(0, room, 2) + np.arange(count)[:, None] * step
    folded = np.abs((free + room) % (2 * room) - room)
    return margin + folded


def _paint(
    frame: np.ndarray, shape: Inside, colour: np.ndarray, centre: np.ndarray, radius: float
) -> None:
    size = len(frame)
    grid = np.arange(size, dtype=np.float32) + 0.5
    x, y = (grid[None] - centre[0]) / radius, (grid[:, None] - centre[1]) / radius
    frame[shape(x, y)] = colour
