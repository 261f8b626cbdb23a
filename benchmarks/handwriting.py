"""Make printed ink look written by hand and scanned: one random draw per image."""

import cv2
import numpy as np
import numpy.typing as npt

HEIGHT, WIDTH = 137, 236  # of Bengali.AI's images
NOISE_LENGTH = 1 << 20

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


class Handwriting:
    """Draws 137 x 236 images, dark on light, from masks of ink.

    Args:
        em: pixels of the letter height that the masks are drawn for.
        strength: of everything that varies shape; 0 leaves print, 1 is handwriting.
    """

    def __init__(self, em: float, strength: float = 1.0) -> None:
        self.em, self.strength = em, strength
        # Cut from one long stretch: normal draws for every pixel would take most of
        # the time.
        draw = np.random.RandomState(0)
        self.noise = draw.standard_normal(NOISE_LENGTH).astype(np.float32)
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
        self.x, self.y = x, y

    def write(self, mask: Image, seed: list[int]) -> Image:
        """Write the ink in `mask` once: (137, 236) uint8, a function of the seed."""
        draw = np.random.RandomState(seed)
        ink = self._pen(self._shape(mask, draw), draw)
        self._blotches(ink, draw)
        return self._scan(ink, draw)

    def _shape(self, mask: Image, draw: np.random.RandomState) -> Image:
        """The mask on the sheet: scaled, slanted, turned, off-centre and uneven."""
        inverse, centre = self._affine(mask, draw)
        x, y = self.x - centre[0], self.y - centre[1]
        dx, dy = self._elastic(draw)
        x += dx
        y += dy
        middle = (np.array(mask.shape[::-1]) - 1) / 2
        at_x = inverse[0, 0] * x + inverse[0, 1] * y + np.float32(middle[0])
        at_y = inverse[1, 0] * x + inverse[1, 1] * y + np.float32(middle[1])
        return cv2.remap(mask, at_x, at_y, cv2.INTER_LINEAR, borderValue=0)

    def _affine(
        self, mask: Image, draw: np.random.RandomState
    ) -> tuple[Floats, tuple[float, float]]:
        """The (2, 2) matrix from sheet to mask, and the middle of the ink in pixels."""
        power = self.strength
        turn = np.deg2rad(draw.normal(0, 4.0) * power)
        shear = draw.uniform(-0.28, 0.16) * power
        stretch = np.exp(draw.normal(0, 0.1) * power)
        rotation = np.array(
            [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        )
        matrix = rotation @ [[stretch, shear], [0, 1 / stretch]]
        box = np.abs(matrix) @ mask.shape[::-1]  # width and height of the turned mask
        scale = draw.uniform(64, 112) / self.em
        scale = min(scale, 0.96 * WIDTH / box[0], 0.96 * HEIGHT / box[1])
        room = (np.array([WIDTH, HEIGHT]) - scale * box) / 2
        offset = np.clip(draw.normal(0, 1, 2) * (16, 7), -room, room)
        centre = (float(WIDTH / 2 + offset[0]), float(HEIGHT / 2 + offset[1]))
        return np.linalg.inv(scale * matrix).astype(np.float32), centre

    def _elastic(self, draw: np.random.RandomState) -> tuple[Floats, Floats]:
        """Smooth shifts of every pixel, in pixels: wide bends and a fine tremble."""
        shifts = np.zeros((HEIGHT, WIDTH, 2), np.float32)
        for nodes, pixels in (((4, 6), (1.5, 4.5)), ((10, 16), (0.3, 1.3))):
            bend = draw.standard_normal((*nodes, 2)) * draw.uniform(*pixels)
            small = (bend * self.strength).astype(np.float32)
            shifts += cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        return shifts[..., 0], shifts[..., 1]

    def _pen(self, ink: Image, draw: np.random.RandomState) -> Image:
        """Another width of the stroke: blur, and cut at another level."""
        blurred = cv2.GaussianBlur(ink, (0, 0), draw.uniform(0.8, 1.7))
        level, gain = draw.uniform(0.14, 0.42), draw.uniform(3.0, 7.0)
        # Thin strokes must not vanish: the level follows the strongest ink.
        level *= float(blurred.max()) / 255
        values = np.arange(256) / 255
        curve = np.clip((values - level) * gain + 0.5 * (values > 0.02), 0, 1)
        return cv2.LUT(blurred, np.round(255 * curve).astype(np.uint8))

    def _blotches(self, ink: Image, draw: np.random.RandomState) -> None:
        """Lines of the form and smudges at the border, specks anywhere; in place."""
        if draw.uniform() < 0.35:
            for _ in range(draw.randint(1, 3)):
                self._border_line(ink, draw)
        if draw.uniform() < 0.3:
            for _ in range(draw.randint(1, 4)):
                at = self._border_point(draw)
                axes = (int(draw.randint(1, 9)), int(draw.randint(1, 6)))
                dark = int(draw.randint(60, 256))
                cv2.ellipse(ink, at, axes, int(draw.randint(180)), 0, 360, dark, -1)
        for _ in range(draw.poisson(0.7)):
            at = (int(draw.randint(WIDTH)), int(draw.randint(HEIGHT)))
            cv2.circle(ink, at, int(draw.randint(0, 2)), int(draw.randint(30, 200)), -1)

    @staticmethod
    def _border_point(draw: np.random.RandomState) -> tuple[int, int]:
        x, y = int(draw.randint(WIDTH)), int(draw.randint(HEIGHT))
        sides = ((0, y), (WIDTH - 1, y), (x, 0), (x, HEIGHT - 1))
        return sides[draw.randint(4)]

    @staticmethod
    def _border_line(ink: Image, draw: np.random.RandomState) -> None:
        near, far = (int(n) for n in draw.randint(0, 4, 2))
        ends = (
            ((near, 0), (far, HEIGHT)),
            ((WIDTH - 1 - near, 0), (WIDTH - 1 - far, HEIGHT)),
            ((0, near), (WIDTH, far)),
            ((0, HEIGHT - 1 - near), (WIDTH, HEIGHT - 1 - far)),
        )[draw.randint(4)]
        dark, thick = int(draw.randint(80, 256)), int(draw.randint(1, 4))
        cv2.line(ink, ends[0], ends[1], dark, thick, cv2.LINE_AA)

    def _scan(self, ink: Image, draw: np.random.RandomState) -> Image:
        """Ink of some darkness, unevenly taken, on paper of some brightness, noisy."""
        paper, dark = draw.uniform(225, 254), draw.uniform(5, 100)
        dry = draw.uniform(0, 0.35)
        uneven = self._smooth(draw.uniform(1 - dry, 1, (5, 8)))
        shade = self._smooth(draw.normal(0, draw.uniform(0, 3), (3, 4)))
        start = int(draw.randint(NOISE_LENGTH - HEIGHT * WIDTH))
        noise = self.noise[start : start + HEIGHT * WIDTH].reshape(HEIGHT, WIDTH)
        image = ink.astype(np.float32)
        image *= uneven
        image *= np.float32((dark - paper) / 255)
        image += shade
        image += noise * np.float32(draw.uniform(0.3, 5.0))
        image += np.float32(paper + 0.5)
        return np.clip(image, 0, 255, out=image).astype(np.uint8)

    @staticmethod
    def _smooth(nodes: npt.NDArray[np.float64]) -> Floats:
        return cv2.resize(
            nodes.astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR
        )
