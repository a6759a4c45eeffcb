"""Simulated frames: a camera always shows the same place, by the hour's daylight, with smoke where the box is."""

import io
from datetime import datetime
from random import Random

import pytest
from PIL import Image, ImageChops, ImageStat

from executions.simulator.daylight import elevation, light_at
from executions.simulator.fleet import CAMERAS
from executions.simulator.landscape import Studio, brightness, jpeg, render
from executions.simulator.plume import FOOT
from executions.simulator.services import Box
from executions.simulator.story import GROWING_ROUNDS, Story, plume_boxes
from executions.simulator.terrain import ground, ridge

SIZE = (320, 180)
NOON, NIGHT = datetime(2026, 11, 20, 13, 20, 5), datetime(2026, 11, 20, 1, 30, 5)
SMOKE = Box("smoke", 0.8, (0.4, 0.2, 0.3, 0.5))
FIRE = Box("fire", 0.9, (0.5, 0.5, 0.08, 0.15))


def difference(first: Image.Image, second: Image.Image) -> Image.Image:
    return ImageChops.difference(first, second).convert("L")


def mean(image: Image.Image) -> float:
    return ImageStat.Stat(image).mean[0]


def part(image: Image.Image, box: Box) -> Image.Image:
    x, y, w, h = box.bbox
    return image.crop((int(x * SIZE[0]), int(y * SIZE[1]), int((x + w) * SIZE[0]), int((y + h) * SIZE[1])))


def test_nothing_changes_outside_the_box_of_smoke() -> None:
    changed = difference(render(7, NOON, SIZE), render(7, NOON, SIZE, [SMOKE]))
    left, top, right, bottom = changed.getbbox() or (0, 0, 0, 0)
    assert left >= 0.4 * SIZE[0] - 1 and right <= 0.7 * SIZE[0] + 1
    assert top >= 0.2 * SIZE[1] - 1 and bottom <= 0.7 * SIZE[1] + 1


@pytest.mark.parametrize("at", [NOON, NIGHT])
def test_smoke_is_seen_inside_its_box(at: datetime) -> None:
    changed = difference(render(7, at, SIZE), render(7, at, SIZE, [SMOKE]))
    assert mean(part(changed, SMOKE)) > (6 if at == NOON else 0.8)


def test_flames_light_the_night_more_than_the_day() -> None:
    glow = {at: difference(render(7, at, SIZE), render(7, at, SIZE, [FIRE])) for at in (NOON, NIGHT)}
    assert mean(glow[NIGHT]) > 2 * mean(glow[NOON])
    red, green, blue = ImageStat.Stat(part(render(7, NIGHT, SIZE, [FIRE]), FIRE)).mean
    assert red > green > blue


@pytest.mark.parametrize("bbox", [(0.0, 0.0, 0.001, 0.001), (0.99, 0.99, 0.01, 0.01), (0.0, 0.0, 1.0, 1.0)])
@pytest.mark.parametrize("name", ["smoke", "fire"])
def test_boxes_at_the_edge_are_drawn_too(name: str, bbox: tuple[float, float, float, float]) -> None:
    assert render(7, NOON, SIZE, [Box(name, 0.5, bbox)]).size == SIZE  # type: ignore[arg-type]


def test_a_camera_always_shows_the_same_place() -> None:
    assert not difference(render(7, NOON, SIZE), render(7, NOON, SIZE)).getbbox()
    assert ImageChops.difference(ground(7, SIZE), ground(8, SIZE)).getbbox()


def test_cameras_have_seeds_of_their_own() -> None:
    assert len({camera.seed for camera in CAMERAS}) == len(CAMERAS)


def test_it_is_dark_at_night_and_bright_at_noon() -> None:
    at_hours = [brightness(render(7, NOON.replace(hour=hour), SIZE)) for hour in (1, 6, 13, 20, 23)]
    assert at_hours[2] == max(at_hours)
    assert at_hours[0] < 40 and at_hours[4] < 40 and at_hours[2] > 90


@pytest.mark.parametrize(
    ("month", "hour", "least", "most"),
    [(12, 13, 78, 84), (6, 13, 33, 37), (12, 0, -45, -30), (3, 7, -10, 8), (9, 19, -10, 8)],
)
def test_the_sun_stands_as_in_cordoba(month: int, hour: int, least: float, most: float) -> None:
    assert least < elevation(datetime(2026, month, 21, hour, 15)) < most


@pytest.mark.parametrize("sun", [-90, -16, -8, 0, 14, 40, 90])
def test_colours_stay_within_what_a_pixel_holds(sun: float) -> None:
    light = light_at(sun)
    assert all(0 <= channel <= 255 for colour in (light.zenith, light.horizon, light.haze) for channel in colour)


def test_the_jpeg_has_the_size_that_was_asked_for() -> None:
    with Image.open(io.BytesIO(Studio().picture(7, NOON, (400, 300)).content)) as image:
        assert (image.format, image.size) == ("JPEG", (400, 300))


def test_a_frame_is_about_as_large_as_a_cameras() -> None:
    assert 300_000 < len(jpeg(render(7, NOON, (1920, 1080)))) < 800_000


def test_a_pool_draws_once_and_never_gives_the_same_file_twice() -> None:
    studio = Studio(pool=2)
    pictures = [studio.picture(seed, NOON, SIZE, [SMOKE]) for seed in (1, 2, 3, 4)]
    assert len({picture.content for picture in pictures}) == 4
    first, third = (Image.open(io.BytesIO(picture.content)) for picture in (pictures[0], pictures[2]))
    assert not ImageChops.difference(first, third).getbbox()


def test_a_studio_can_draw_as_at_another_hour() -> None:
    assert Studio(hour=13).picture(7, NIGHT, SIZE).brightness > 2 * Studio().picture(7, NIGHT, SIZE).brightness


# --- The story that the frames tell ---------------------------------------------------------------


def test_a_plume_stands_on_a_slope_and_within_the_image() -> None:
    for camera in CAMERAS:
        for x in (0.0, 0.3, 0.7, 1.0):
            left, top, width, height = plume_boxes(camera, x, 1.0)[-1].bbox
            assert left >= 0 and top >= 0 and left + width <= 1.0001 and top + height <= 1
            at_edge = x in (0.0, 1.0) or top == 0.02
            assert at_edge or top + height > ridge(camera.seed, left + width * FOOT)


def test_one_camera_sees_a_plume_grow_until_flames_show() -> None:
    story = Story(Random(1))
    scenes, near = story.scenes(), story.fire.near
    tour = [next(scenes) for _ in range(len(CAMERAS) * GROWING_ROUNDS)]
    heights = [scene.scenario.boxes[-1].bbox[3] for scene in tour if scene.camera == near]
    assert heights == sorted(heights) and heights[-1] > 3 * heights[0]
    flames = ["fire" in [box.class_name for box in scene.scenario.boxes] for scene in tour if scene.camera == near]
    assert not flames[0] and flames[-1]


def test_a_second_site_sees_the_same_fire_later_and_smaller() -> None:
    story = Story(Random(1))
    fire = story.fire
    assert fire.far.site != fire.near.site and fire.boxes(fire.far) == ()
    fire.age = 5
    (near, far) = (fire.boxes(camera)[-1] for camera in (fire.near, fire.far))
    assert far.bbox[3] < near.bbox[3]


def test_most_cameras_see_nothing() -> None:
    scenes = Story(Random(3)).scenes()
    seen = [bool(next(scenes).scenario.boxes) for _ in range(600)]
    assert 0.05 < sum(seen) / len(seen) < 0.4


def test_four_cameras_of_a_site_send_one_after_another() -> None:
    scenes = Story(Random(3)).scenes()
    burst = [next(scenes).camera for _ in range(4)]
    assert len({camera.site for camera in burst}) == 1
    assert [camera.camera_id for camera in burst] == ["cam1", "cam2", "cam3", "cam4"]
