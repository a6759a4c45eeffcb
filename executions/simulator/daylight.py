"""Where the sun stands over Córdoba, and the colours of sky, haze and light that go with it."""

from dataclasses import dataclass
from datetime import datetime
from math import asin, cos, degrees, pi, radians, sin

Colour = tuple[float, float, float]

LATITUDE, LONGITUDE, ZONE_HOURS = -31.3, -64.5, -3


@dataclass(frozen=True, slots=True)
class Light:
    """The colours of one moment, channels 0 to 255; `ground` multiplies the colours of the ground (1 is noon)."""

    zenith: Colour
    horizon: Colour
    haze: Colour
    ground: Colour
    cloud: Colour

    def towards(self, other: "Light", share: float) -> "Light":
        """The light between this one (share 0) and the other (share 1)."""
        names = ("zenith", "horizon", "haze", "ground", "cloud")
        return Light(*(mix(getattr(self, name), getattr(other, name), share) for name in names))


# By the sun's elevation in degrees.
_KEYS = (
    (-16.0, Light((10, 14, 30), (26, 33, 54), (21, 27, 44), (0.15, 0.18, 0.26), (30, 36, 54))),
    (-8.0, Light((22, 34, 72), (74, 72, 98), (44, 50, 76), (0.20, 0.22, 0.31), (62, 60, 84))),
    (-2.0, Light((60, 86, 136), (232, 158, 112), (128, 116, 128), (0.44, 0.40, 0.42), (204, 144, 128))),
    (4.0, Light((92, 132, 186), (250, 206, 150), (190, 172, 160), (0.82, 0.72, 0.60), (255, 214, 178))),
    (14.0, Light((88, 142, 206), (204, 220, 230), (178, 196, 210), (1.00, 0.95, 0.86), (250, 246, 240))),
    (40.0, Light((66, 124, 200), (184, 210, 232), (168, 190, 212), (1.06, 1.04, 1.00), (252, 252, 252))),
)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The colour between two, channel by channel."""
    a, b = first, second
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share)


def solar_hour(local: datetime) -> float:
    """The hour by the sun, 12 at its highest; `local` is the clock of Argentina."""
    return (local.hour + local.minute / 60 + LONGITUDE / 15 - ZONE_HOURS) % 24


def elevation(local: datetime) -> float:
    """The sun's height over the horizon in degrees, negative at night."""
    day = local.timetuple().tm_yday
    declination = radians(-23.44) * cos(2 * pi * (day + 10) / 365)
    latitude, angle = radians(LATITUDE), radians((solar_hour(local) - 12) * 15)
    height = sin(latitude) * sin(declination) + cos(latitude) * cos(declination) * cos(angle)
    return degrees(asin(height))


def light_at(sun: float) -> Light:
    """The light when the sun stands `sun` degrees high."""
    if sun <= _KEYS[0][0]:
        return _KEYS[0][1]
    for (low, before), (high, after) in zip(_KEYS, _KEYS[1:], strict=False):
        if sun <= high:
            return before.towards(after, (sun - low) / (high - low))
    return _KEYS[-1][1]
