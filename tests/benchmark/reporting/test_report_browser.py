"""The report in a real headless Chromium: layout, colours, keyboard, and that it asks for nothing. Skipped
where there is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark import report
from tests.support.chromium import Browser, Page, find
from tests.support.report_folder import make_root

pytestmark = pytest.mark.skipif(
    find() is None, reason="needs Chromium: none of chromium, chromium-browser, google-chrome is installed"
)

PHONE, DESK = (390, 844), (1280, 900)
WIDE = """
[...document.querySelectorAll('body *')]
  .filter(node => !node.closest('.scroll *') && node.getBoundingClientRect().right > innerWidth + 1)
  .map(node => `${node.tagName} ${node.className}`)
"""
STRIP = """
[...document.querySelectorAll('#claims-3 svg.strip')].map(strip => {
  const box = strip.getBoundingClientRect(), mark = strip.querySelector('circle.estimate')
  const dot = mark.getBoundingClientRect(), drawn = parseFloat(mark.getAttribute('cx'))
  return [100 * (dot.left + dot.width / 2 - box.left) / box.width, drawn, box.width]
})
"""
CURVE = """
(() => {
  const plot = document.querySelector('#curves svg.plot').getBoundingClientRect()
  const rings = [...document.querySelectorAll('#curves circle.kept')]
    .map(ring => ring.getBoundingClientRect())
  return {plot: [plot.left, plot.top, plot.width, plot.height],
          rings: rings.map(ring => [ring.left + ring.width / 2, ring.top + ring.height / 2]),
          path: [...document.querySelectorAll('#curves path.line')]
            .filter(path => path.querySelector('title')?.textContent == 'minilm.mt.bmt.s0')
            .map(path => path.getBoundingClientRect())
            .map(box => [box.left, box.right, box.top, box.bottom])[0]}
})()
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    """The page of a project with twelve fabricated runs."""
    root = tmp_path_factory.mktemp("browser") / "root"
    make_root(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BMT_ROOT", str(root))
        assert report.main([]) == 0
    return root / "reports" / "sample" / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def phone(browser, path) -> Page:
    return browser.open(path, *PHONE, phone=True)


@pytest.fixture(scope="module")
def desk(browser, path) -> Page:
    return browser.open(path, *DESK)


def test_the_page_asks_for_nothing_and_the_console_stays_empty(desk, phone, path):
    for page in (desk, phone):
        assert page.evaluate("performance.getEntriesByType('resource').length") == 0
        assert [request for request in page.requests if request != "data:,"] == [path.as_uri()]
        assert page.messages == []


def test_the_console_and_the_requests_are_really_watched(browser, tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<!DOCTYPE html><title>x</title><img src='absent.png'><script>console.log('heard'); throw "
        "'thrown'</script>"
    )
    page = browser.open(bad, *DESK)
    assert (tmp_path / "absent.png").as_uri() in page.requests
    assert any("heard" in message for message in page.messages)
    assert any("Uncaught" in message for message in page.messages)


@pytest.mark.parametrize("opened", [False, True])
def test_on_a_phone_nothing_is_wider_than_the_screen(browser, path, opened):
    page = browser.open(path, *PHONE, phone=True)
    if opened:  # every table of data shown, too
        page.evaluate("document.querySelectorAll('details').forEach(node => { node.open = true })")
    assert page.evaluate("innerWidth") == PHONE[0]
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
    assert page.evaluate(WIDE) == []


def test_at_the_narrowest_width_and_with_large_text_nothing_overflows_either(browser, path):
    page = browser.open(path, 320, 640, phone=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    page.evaluate("document.documentElement.style.fontSize = '150%'")
    assert page.evaluate(WIDE) == []


def test_wide_tables_scroll_in_their_own_box(phone):
    found = phone.evaluate(
        "(() => { const box = document.querySelector('#table-3 .scroll'); return [box.clientWidth, "
        "box.scrollWidth] })()"
    )
    assert found[0] <= PHONE[0] - 32
    assert found[1] > 1.5 * found[0]
    first = "document.querySelector('#table-3 tbody th[scope=row]').getBoundingClientRect().left"
    before = phone.evaluate(first)
    phone.evaluate("document.querySelector('#table-3 .scroll').scrollLeft = 200")
    assert phone.evaluate(first) == before  # the row's name stays in sight


@pytest.mark.parametrize("size", ["phone", "desk"])
def test_marks_are_painted_where_their_values_are(request, size):
    page = request.getfixturevalue(size)
    strips = page.evaluate(STRIP)
    assert len(strips) >= 5
    assert [painted for painted, _, _ in strips] == pytest.approx(
        [wanted for _, wanted, _ in strips], abs=0.1
    )
    assert min(width for _, _, width in strips) > 300
    curve = page.evaluate(CURVE)
    left, top, width, height = curve["plot"]
    assert (height, len(curve["rings"])) == (220, 12)
    rings = [100 * (x - left) / width for x, _ in curve["rings"]]
    assert rings == pytest.approx([100 * 80 / 102] * 12, abs=0.2)  # step 80 on a scale to 1.02 times 100
    starts, ends, _, bottom = curve["path"]
    assert 100 * (starts - left) / width == pytest.approx(100 * 20 / 102, abs=1.0)
    assert 100 * (ends - left) / width == pytest.approx(100 * 100 / 102, abs=1.0)
    assert top < bottom < top + height


def test_texts_in_drawings_keep_their_size_on_a_phone(desk, phone):
    size = "document.querySelector('#density svg.heat text.value').getBoundingClientRect().height"
    assert phone.evaluate(size) == pytest.approx(desk.evaluate(size), abs=0.5)
    fits = """
    [...document.querySelectorAll('#density svg.heat, #overlap svg.heat')].flatMap(map => {
      const cell = map.querySelector('rect.cell').getBoundingClientRect().width
      return [...map.querySelectorAll('text.value')].map(text => text.getBoundingClientRect().width < cell)
    }).every(Boolean)
    """
    assert phone.evaluate(fits) is True


def test_labels_of_heat_maps_lie_within_their_boxes(desk, phone):
    cut = """
    [...document.querySelectorAll('.heat text')].filter(text => {
      const box = text.closest('.scroll').getBoundingClientRect(), own = text.getBoundingClientRect()
      return own.left < box.left - 0.5 || own.top < box.top - 0.5
    }).map(text => text.textContent)
    """
    assert desk.evaluate(cut) == []
    assert phone.evaluate(cut) == []


def test_light_and_dark_follow_the_system(browser, path):
    colours = (
        "[getComputedStyle(document.documentElement).backgroundColor, getComputedStyle(document.body).color]"
    )
    cell = "getComputedStyle(document.querySelector('#density rect.h20, #density rect.h19')).fill"
    light, dark = (browser.open(path, *DESK, dark=dark) for dark in (False, True))
    assert light.evaluate(colours) == ["rgb(253, 252, 249)", "rgb(27, 30, 34)"]
    assert dark.evaluate(colours) == ["rgb(20, 23, 26)", "rgb(233, 230, 223)"]
    assert light.evaluate(cell) != dark.evaluate(cell)


def test_the_keyboard_skips_the_contents_and_shows_where_it_is(browser, path):
    page = browser.open(path, *DESK)
    page.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.press("Enter")
    page.press("Tab")
    assert page.evaluate("!!document.activeElement.closest('main')") is True
    assert page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"


def test_a_screen_reader_gets_landmarks_headings_and_described_images(desk):
    seen = desk.accessibility()
    roles = [node["role"] for node in seen]
    for role in ("banner", "navigation", "main", "contentinfo"):
        assert roles.count(role) == 1, role
    levels = [node["level"] for node in seen if node["role"] == "heading"]
    assert levels[0] == 1
    assert set(levels) == {1, 2, 3, 4}
    images = [node["name"] for node in seen if node["role"] in ("image", "img")]
    assert any(name.startswith("Table 3: verdicts 14 not comparable") for name in images)
    assert len(images) > 30
    assert all(images)
    assert all(node["name"] for node in seen if node["role"] in ("region", "table", "figure", "link"))
    assert roles.count("region") == 7  # the page's parts, and no more
