"""The results page in a real browser: it works, it is quiet, and everybody can use it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from sedrepro import papers
from sedrepro.metrics.decode import detect
from sedrepro.reporting.examples import examples
from sedrepro.reporting.page.table import source_link
from sedrepro.reporting.records import read_rows, records

pytestmark = pytest.mark.system

LARGEST = 15e6  # bytes
PAPER = "lgc_sed"
SCREENS = 20
UNFOLD = """document.querySelectorAll("details.part, details.table").forEach((part) => {
  part.open = true;
})"""


@pytest.fixture(scope="module")
def page(browser, everything):
    """The page with every part of it unfolded."""
    shown = browser.page()
    shown.open(everything.page)
    shown.run(UNFOLD)
    return shown


def test_it_is_small_and_opens(browser, everything, record_property):
    """How long it takes depends on what else the machine does: it is told, not asserted."""
    assert everything.page.stat().st_size <= LARGEST
    shown = browser.page()
    shown.open(everything.page)
    taken = shown.run("performance.getEntriesByType('navigation')[0].loadEventEnd")
    shown.send("Page.close")
    assert taken > 0
    record_property("counted", f"opened in {taken / 1000:.1f} s")


def test_every_link_within_the_page_leads_to_something_visible(page):
    lost = page.run("""(async () => {
      const lost = [];
      const seen = new Set();
      for (const link of document.querySelectorAll('a[href^="#"]')) {
        if (seen.has(link.hash)) continue;
        seen.add(link.hash);
        link.click();
        await new Promise((done) => setTimeout(done, 15));
        const target = document.getElementById(decodeURIComponent(link.hash.slice(1)));
        const box = target && target.getBoundingClientRect();
        const there = box && box.height > 0 && box.top < innerHeight && box.bottom > 0;
        if (!there || (target.tagName === "DETAILS" && !target.open)) lost.push(link.hash);
      }
      return [seen.size, lost];
    })()""")
    assert lost[0] > 50
    assert lost[1] == []


def test_links_out_of_the_page_are_papers_and_code_only(page, everything):
    out = set(page.run("[...document.querySelectorAll('a[href^=http]')].map((a) => a.href)"))
    specs = [everything.project.papers[paper] for paper in everything.project.selected_papers()]
    named = {url.rstrip("/") for spec in specs for url in (spec.url, spec.code) if url}
    for paper, spec in everything.project.papers.items():
        table = everything.root / "config" / "papers" / paper / "published.csv"
        named |= {source_link(row["source"], spec.url) for row in read_rows(table)}
    assert {url.rstrip("/") for url in out} <= named


def test_it_is_no_more_than_twenty_screens(browser, everything):
    shown = browser.page(1280, 900)
    shown.open(everything.page)
    assert shown.run("document.documentElement.scrollHeight") <= SCREENS * 900


def test_filters_hide_and_say_how_much(browser, everything):
    shown = browser.page()
    shown.open(everything.page)

    def chosen(**values: object) -> list:
        return shown.run(f"""(() => {{
          for (const [name, value] of Object.entries({json.dumps(values)})) {{
            const field = document.getElementById(`filter-${{name}}`);
            if (typeof value === "boolean") field.checked = value; else field.value = value;
            field.dispatchEvent(new Event("input"));
          }}
          const rows = [...document.querySelectorAll("details.table tbody tr")];
          return [
            document.getElementById("hidden").textContent,
            rows.filter((row) => row.checkVisibility()).map((row) => row.cells[0].innerText),
            [...document.querySelectorAll("section.paper")].filter((p) => p.checkVisibility())
              .map((p) => p.id),
            [...document.querySelectorAll("th.group[data-metric]")]
              .filter((head) => head.checkVisibility()).map((head) => head.dataset.metric),
          ];
        }})()""")

    hidden, rows, _, _ = chosen()
    assert "rows hidden" in hidden
    assert "Mean teacher + CLC" not in rows
    hidden, every, papers_shown, _ = chosen(run=False)
    assert hidden == ""
    assert "Mean teacher + CLC" in every
    assert len(papers_shown) == len(everything.project.selected_papers())
    assert chosen(paper=PAPER)[2] == [PAPER]
    assert set(chosen(metric="PSDS 2")[3]) == {"PSDS 2"}
    found = chosen(row="mean teacher")[1]
    assert found
    assert all("mean teacher" in name.lower() for name in found)


def test_a_table_is_copied_as_it_is_shown(browser, everything):
    shown = browser.page()
    shown.open(everything.page)
    copied = shown.run(f"""(() => {{
      const field = document.getElementById("filter-metric");
      field.value = "PSDS 1";
      field.dispatchEvent(new Event("input"));
      const table = document.querySelector("#{PAPER} details.table");
      return [...table.querySelectorAll("button.copy")].map((button) => {{
        button.click();
        return [button.dataset.form, button.dataset.copied];
      }});
    }})()""")
    texts = dict(copied)
    assert set(texts) == {"Markdown", "LaTeX", "CSV"}
    assert texts["Markdown"].startswith("| Row | PSDS 1 psds_eval, teacher, ours |")
    assert "PSDS 2" not in texts["CSV"]
    assert r"psds\_eval" in texts["LaTeX"]
    rows = list(csv.reader(io.StringIO(texts["CSV"])))
    assert len({len(row) for row in rows}) == 1
    names = [row[0] for row in rows]
    assert "LGC (CLC + PGC)" in names
    assert "Mean teacher + CLC" not in names


def test_the_head_of_a_table_stays(page):
    tops = page.run(f"""(async () => {{
      const box = document.querySelector("#{PAPER} details.table .scroll");
      box.style.maxHeight = "12rem";
      box.scrollTop = 150;
      await new Promise((done) => setTimeout(done, 50));
      const tops = [box, box.querySelector("thead")].map((p) => p.getBoundingClientRect().top);
      box.style.maxHeight = "";
      return tops;
    }})()""")
    assert tops[1] == pytest.approx(tops[0], abs=3)


def test_runs_link_to_what_lies_beside_the_page(page, everything):
    links = page.run(
        "[...document.querySelectorAll('.files a')].map((a) => a.getAttribute('href'))"
    )
    assert len(links) > 50
    home = everything.page.parent
    assert [link for link in links if not (home / link).exists()] == []
    names = {Path(link).name for link in links}
    assert {"run.json", "history.csv", "metrics.json"} <= names


def test_downloads_hold_what_they_say(page):
    files = page.run("""Promise.all([...document.querySelectorAll("a[download]")].map(async (a) => {
      const text = atob(a.href.split(",")[1]);
      return [a.download, text.slice(0, 400)];
    }))""")
    assert len(files) > 10
    for name, text in files:
        start = {"tex": r"\begin{table}", "csv": "table,row,"}[name.rpartition(".")[2]]
        assert text.startswith(start), name


def test_every_sort_button_sorts(page):
    wrong = page.run("""(() => {
      const wrong = [];
      let pressed = 0;
      for (const table of document.querySelectorAll("table.sortable")) {
        for (const button of table.querySelectorAll("button.sort")) {
          for (let time = 0; time < 2; time++) {
            button.click();
            pressed++;
            const head = button.closest("th");
            const sign = { ascending: 1, descending: -1 }[head.ariaSort];
            const first = head.parentNode.rowIndex === 0;
            const leading = [...head.closest("thead").rows[0].cells].filter((c) => c.rowSpan > 1);
            const column = head.cellIndex + (first ? 0 : leading.length);
            const keys = [...table.tBodies[0].rows].map((row) => row.cells[column].dataset.sort);
            const found = keys.filter((key) => key !== "");
            const known = found.every((key) => !isNaN(key)) ? found.map(Number) : found;
            const pairs = known.slice(1).map((key, k) => [known[k], key]);
            if (sign < 0) pairs.forEach((pair) => pair.reverse());
            const inOrder = pairs.every(([low, high]) => low <= high);
            const emptyLast = keys.slice(known.length).every((key) => key === "");
            if (!inOrder || !emptyLast) wrong.push(button.ariaLabel || button.textContent);
          }
        }
      }
      return [pressed, wrong];
    })()""")
    assert wrong[0] > 40
    assert wrong[1] == []


def test_differences_are_shown_for_the_row_that_is_chosen(page):
    shown = page.run("""[...document.querySelectorAll(".differences")].map((part) => {
      part.open = true;
      const select = part.querySelector("select");
      const bodies = [...part.querySelectorAll("tbody")];
      const states = [...select.options].map((option) => {
        select.value = option.value;
        select.dispatchEvent(new Event("change"));
        const open = bodies.filter((body) => !body.hidden);
        const names = open.flatMap((body) => [...body.rows].map((row) => row.cells[0].textContent));
        return open.length === 1 && !names.includes(option.text);
      });
      return states.every(Boolean) && states.length === bodies.length;
    })""")
    assert shown
    assert all(shown)


def test_curves_change_with_what_is_asked_for(page):
    charts = page.run("""[...document.querySelectorAll(".chart")].map((chart) => {
      const count = () => chart.querySelectorAll("path.curve").length;
      const before = count();
      const button = chart.querySelector(".legend button");
      button.click();
      const without = count();
      const pressed = button.ariaPressed;
      button.click();
      const select = chart.querySelector(".quantity");
      const names = [...select.options].map((option) => {
        select.value = option.value;
        select.dispatchEvent(new Event("change"));
        return chart.querySelector(".plot").ariaLabel;
      });
      return { before, without, pressed, after: count(), names };
    })""")
    assert charts
    for chart in charts:
        assert chart["without"] < chart["before"]
        assert chart["pressed"] == "false"
        assert len(set(chart["names"])) == len(chart["names"])


def counts(page, threshold: float) -> list[int]:
    """Numbers of events the room of one paper tells: truth, A, B."""
    text = page.run(f"""(() => {{
      const room = document.querySelector('.room[data-source="{PAPER}-room-data"]');
      const slider = room.querySelector('input[type="range"]');
      slider.value = {threshold};
      slider.dispatchEvent(new Event("input"));
      return room.querySelector(".counts").textContent;
    }})()""")
    return [int(part.rpartition("–")[2].split()[0]) for part in text.split(" · ")]


@pytest.mark.parametrize("threshold", [0.5, 0.2, 0.8])
def test_the_slider_decodes_as_we_do(page, everything, threshold):
    found = records(everything.project, PAPER, everything.layout)
    shown = examples(everything.project, found, everything.layout, papers.settings_models())
    room = json.loads(page.run(f"document.getElementById('{PAPER}-room-data').textContent"))
    clip = shown.clips[0]
    expected = [len(shown.truth[clip])]
    for index in room["clips"][0]["chosen"]:
        frames = shown.scored[index].frames[clip][None]
        found = detect(frames, threshold, hop=shown.hop, seconds=[shown.seconds[clip]])
        expected.append(len(found))
    assert counts(page, threshold) == expected


def test_every_clip_of_every_room_can_be_chosen(page):
    rooms = page.run("""[...document.querySelectorAll(".room")].map((room) =>
      [...room.querySelectorAll(".clips button")].map((button) => {
        button.click();
        const chosen = room.querySelectorAll('.clips button[aria-pressed="true"]');
        return chosen.length === 1 && chosen[0] === button
          && room.querySelector("audio").ariaLabel.includes(button.textContent)
          && [...room.querySelectorAll("select")].every((select) => select.value !== "")
          && room.querySelectorAll(".stage .lane").length > 2;
      }))""")
    assert rooms
    assert all(all(room) and room for room in rooms)


def test_the_cursor_follows_the_sound_and_the_sound_the_pointer(page):
    page.send("Page.bringToFront")  # a tab that others cover loads no sound
    box = page.run(f"""(() => {{
      const room = document.querySelector('.room[data-source="{PAPER}-room-data"]');
      room.querySelector(".clips button").click();
      const lane = room.querySelector(".stage .lane");
      lane.scrollIntoView({{ block: "center" }});
      const box = lane.getBoundingClientRect();
      return [box.left, box.width, box.top + box.height / 2];
    }})()""")
    page.click(box[0] + 0.4 * box[1], box[2])
    places = page.run(f"""(async () => {{
      const room = document.querySelector('.room[data-source="{PAPER}-room-data"]');
      const audio = room.querySelector("audio");
      const lane = room.querySelector(".stage .lane");
      const cursor = room.querySelector(".cursor");
      const share = () => (parseFloat(cursor.style.left) - lane.offsetLeft) / lane.clientWidth;
      const clicked = [audio.currentTime, share()];
      await audio.play();
      await new Promise((done) => setTimeout(done, 800));
      audio.pause();
      await new Promise((done) => setTimeout(done, 100));
      return [clicked, [audio.currentTime, share()], audio.duration];
    }})()""")
    (jumped, drawn), (played, followed), length = places
    assert jumped == pytest.approx(4.0, abs=0.1)
    assert drawn == pytest.approx(0.4, abs=0.01)
    assert jumped + 0.2 < played < jumped + 3
    assert followed == pytest.approx(played / length, abs=0.01)


def test_light_and_dark_can_be_switched(page):
    colours = page.run("""(() => {
      const colour = () => getComputedStyle(document.body).backgroundColor;
      const before = colour();
      document.getElementById("theme").click();
      const after = colour();
      document.getElementById("theme").click();
      return [before, after, colour()];
    })()""")
    assert colours[0] != colours[1]
    assert colours[0] == colours[2]


def test_the_keyboard_reaches_and_works_everything(browser, everything):
    shown = browser.page()
    shown.open(everything.page)
    shown.press("Tab")
    assert shown.run("document.activeElement.className") == "skip"
    shown.run("document.querySelector('table.sortable button.sort').focus()")
    shown.press("Enter")
    assert shown.run("document.activeElement.closest('th').ariaSort") == "ascending"
    shown.run(UNFOLD)
    shown.run("document.querySelector('.room input[type=range]').focus()")
    before = float(shown.run("document.activeElement.value"))
    shown.press("ArrowRight")
    assert float(shown.run("document.activeElement.value")) == pytest.approx(before + 0.01)
    hidden = shown.run("""[...document.querySelectorAll(".scroll")].filter((box) =>
      !box.closest("details") && box.scrollWidth > box.clientWidth && box.tabIndex < 0).length""")
    assert hidden == 0


def test_everything_has_a_name_for_those_who_do_not_see_it(page):
    page.run("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    controls = page.controls()
    assert len(controls) > 100
    assert {role for role, _ in controls} >= {"button", "link", "combobox", "slider"}
    assert [role for role, name in controls if not name and role != "table"] == []


@pytest.mark.parametrize(("scheme", "rules"), [("light", ""), ("dark", "color-contrast")])
def test_axe_finds_no_serious_fault(browser, everything, axe, scheme, rules):
    """All rules of axe-core; of them only contrast depends on the colours."""
    shown = browser.page(prefers_color_scheme=scheme)
    shown.open(everything.page)
    shown.run("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    shown.run(f"{axe}; 0")
    options = {"resultTypes": ["violations"], **({"runOnly": [rules]} if rules else {})}
    faults = shown.run(f"""axe.run({json.dumps(options)}).then((found) =>
      found.violations.map((one) => [one.impact, one.id, one.nodes[0].html]))""")
    assert [fault for fault in faults if fault[0] in ("serious", "critical")] == []


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_is_kept_as_a_picture(browser, everything, output, width, height, scheme):
    shown = browser.page(width, height, prefers_color_scheme=scheme)
    shown.open(everything.page)
    name = f"{'phone' if width < 600 else 'desktop'}-{scheme}"
    assert shown.run("document.documentElement.scrollWidth") <= width
    shown.screenshot(output / f"{name}.png")
    for paper in everything.project.selected_papers():
        shown.run(f"document.getElementById('{paper}').scrollIntoView()")
        shown.screenshot(output / f"{name}-{paper}.png")
        shown.run(f"document.getElementById('{paper}-room').scrollIntoView()")
        shown.screenshot(output / f"{name}-{paper}-room.png")
    if scheme == "light" and width > 600:
        shown.pdf(output / "print.pdf")
        assert (output / "print.pdf").read_bytes().startswith(b"%PDF")
    assert shown.problems() == []


def test_a_page_of_nothing_is_a_page(browser, nothing: Path, output: Path):
    shown = browser.page()
    shown.open(nothing)
    shown.screenshot(output / "nothing.png")
    assert shown.run("document.body.innerText").count("pending: 0 of") > 1
    assert shown.problems() == []
    assert shown.controls()


def test_it_was_quiet_and_asked_nobody(page):
    """Last, after everything above was tried."""
    assert page.problems() == []
    schemes = {url.partition(":")[0] for url in page.requests()}
    assert schemes <= {"file", "data"}
    files = [url for url in page.requests() if url.startswith("file:")]
    assert len(set(files)) == 1
