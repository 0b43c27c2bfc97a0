//! Reports of a synthetic run: what they say, what they never say, how large they get. Its pages are
//! left in `target/tmp/report/` for `tests/browser/check.py`.

use std::fs;
use std::path::PathBuf;

use runner::metrics::aggregator::Aggregator;
use runner::metrics::claims::ClaimKind;
use runner::metrics::saturation;
use runner::metrics::summary::{Counts, RunEnd, RunState, Summary};
use runner::plan::{Level, SinkConfig, SinkKind};
use runner::record::StageState;
use runner::report::samples::RunSamples;
use runner::report::view::{self, Background, Fact, Mood, ReportView};
use runner::report::{html, markdown, sheet, svg};
use runner::sink;

use crate::synthetic_run::{HOSTILE, Shape, TYPICAL, lines};

fn report(shape: Shape) -> (Summary, ReportView) {
    let (mut aggregator, mut samples) = (Aggregator::new(), RunSamples::default());
    lines(shape, &mut |line| {
        samples.line(&line);
        aggregator.line(&line);
    });
    let summary = aggregator.finish(&RunEnd::new(RunState::Finished));
    let text = |plain: &str| if shape.hostile { HOSTILE.to_owned() } else { plain.to_owned() };
    let purpose = "How much TTFT does the prefix cache buy, and is it gone after a flush?";
    let background = Background {
        description: Some(text(purpose)),
        params: vec![Fact { detail: "default".into(), ..Fact::new("docs", text("40")) }],
        environment: vec![Fact::new("machine", text("linux x86_64, 2 cores"))],
    };
    let view = view::compose(&summary, &samples, &background);
    (summary, view)
}

fn page(name: &str, view: &ReportView) -> String {
    let page = html::document(view).expect("a page");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("report");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(name), &page).expect("written");
    page
}

#[test]
fn the_page_tells_what_the_run_found() {
    let (summary, view) = report(TYPICAL);
    assert!(summary.run.valid, "{:?}", summary.run.notes);
    let speed_up = "The cache makes the first token come 10.";
    assert!(view.headline.starts_with(speed_up), "{}", view.headline);
    assert!(view.headline.contains("95 % CI 9."), "{}", view.headline);
    let [flush, ladder, ..] = view.findings.as_slice() else { panic!("{:?}", view.findings) };
    assert!(flush.starts_with("After the flush the cache was empty"), "{flush}");
    let sustains = "ladder: sustains 12 requests/s; saturated at 24 requests/s";
    assert!(ladder.starts_with(sustains), "{ladder}");
    // The page says what the summary says, and what to do next.
    let findings = summary
        .claims
        .iter()
        .filter(|claim| claim.kind != ClaimKind::Ended && !claim.kind.is_detail());
    let findings: Vec<&str> = findings.map(|claim| claim.text.as_str()).collect();
    assert_eq!(findings[0], view.headline);
    assert_eq!(findings[1..], view.findings);
    let story = view.stages[4].story.join(" ");
    assert!(story.contains("ladder: run production at 8.4 to 9.6 requests/s"), "{story}");
    assert_eq!((view.verdict.word, view.verdict.mood), ("PASS", Mood::Good));
    let names: Vec<&str> = view.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["cold", "warm", "flush", "after_flush", "ladder"]);
    let chips: Vec<&str> =
        view.stages.iter().flat_map(|stage| &stage.chips).map(|chip| chip.text.as_str()).collect();
    assert_eq!(chips, ["proven cold", "proven warm", "flush proven", "proven cold"]);

    let page = page("typical.html", &view);
    for words in
        ["Simulated.", &view.headline, "http.503", "Definitions", "How the numbers were made"]
    {
        assert!(page.contains(words), "{words}");
    }
    // Each chart stands in the page twice, without a script: for wide windows and for phones.
    let drawn = page.matches("<svg class=\"wide\"").count();
    assert_eq!(drawn, html::pictures(&view).count());
    assert_eq!(drawn, page.matches("<svg class=\"narrow\"").count());
}

#[test]
fn the_page_loads_nothing_and_allows_nothing_inline_but_its_own() {
    let (_, view) = report(TYPICAL);
    let page = html::document(&view).expect("a page");
    assert!(page.contains("default-src &#x27;none&#x27;; style-src &#x27;sha256-"));
    for load in [" src=", "@import", "url(", "<link", "<iframe", "http://www.w3.org/1999"] {
        assert!(!page.contains(load), "{load}");
    }
    let markup = page.split("<script").next().expect("a head and a body");
    for inline in [" style=", " onclick", " onload", "javascript:"] {
        assert!(!markup.contains(inline), "{inline}");
    }
}

#[test]
fn hostile_text_stays_text_in_every_format() {
    let (_, view) = report(Shape { hostile: true, ..TYPICAL });
    let page = page("hostile.html", &view);
    // Only the page's own elements: data, script, style.
    assert_eq!(page.matches("<script").count(), 2);
    assert_eq!(page.matches("</script").count(), 2);
    assert_eq!(page.matches("<style").count(), 1);
    assert!(!page.contains("<img") && page.contains("&lt;img src=x"));
    assert!(!page.contains(['\u{1b}', '\u{202e}']));
    assert!(page.contains("{{ 7*7 }}") && !page.contains(" 49 @team"));

    let markdown = markdown::document(&view);
    for live in ["<img", "<script", "](javascript:", "@team", "\u{1b}"] {
        assert!(!markdown.contains(live), "{live}");
    }
    let drawing = svg::document(&sheet::sheet(&view), &view.headline);
    assert!(!drawing.contains("<script") && !drawing.contains("<img"));
}

#[test]
fn a_run_of_100_000_requests_fits_into_a_megabyte() {
    let (summary, view) = report(Shape { repeats: 10_000, rung_seconds: 700, hostile: false });
    let requests: u64 = summary.stages.iter().map(|stage| stage.counts.planned).sum();
    assert!(requests > 98_000, "{requests}");
    let page = page("large.html", &view);
    assert!(page.len() < 1_000_000, "{}", page.len());
    assert!(view.method.iter().any(|rule| rule.contains("uniform random sample")));
}

#[test]
fn an_empty_and_a_broken_off_run_have_a_page_too() {
    for keep in [0, 1, 2, 3, 60] {
        let (mut aggregator, mut samples) = (Aggregator::new(), RunSamples::default());
        let mut left = keep;
        lines(TYPICAL, &mut |line| {
            if left > 0 {
                left -= 1;
                samples.line(&line);
                aggregator.line(&line);
            }
        });
        let summary = aggregator.finish(&RunEnd::new(RunState::Aborted));
        let view = view::compose(&summary, &samples, &Background::default());
        assert_eq!(view.verdict.mood, Mood::Bad, "{keep} lines");
        let page = page(&format!("broken-off-{keep}.html"), &view);
        assert!(!page.contains("NaN") && !page.contains("inf"), "{keep} lines");
        assert!(markdown::document(&view).contains(view.verdict.word));
    }
}

#[test]
fn the_sinks_leave_one_file_each_and_the_page_is_live() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = |kind, file: &str| SinkConfig { kind, target: file.to_owned(), required: true };
    let configs = [
        config(SinkKind::Html, "report.html"),
        config(SinkKind::Markdown, "new/report.md"),
        config(SinkKind::Svg, "charts.svg"),
    ];
    let mut sinks =
        sink::open_all(&configs, folder.path(), &Background::default()).expect("opened");
    let read = |file: &str| fs::read_to_string(folder.path().join(file)).unwrap_or_default();
    let (mut aggregator, mut seq, mut seen_running) = (Aggregator::new(), 0, false);
    lines(TYPICAL, &mut |line| {
        for open in &mut sinks {
            open.sink.line(seq, &line).expect("taken");
        }
        seq += 1;
        if let Some(stage) = aggregator.line(&line) {
            for open in &mut sinks {
                open.sink.stage(stage).expect("taken");
            }
            seen_running |= read("report.html").contains("RUNNING");
        }
    });
    assert!(seen_running);
    let summary = aggregator.finish(&RunEnd::new(RunState::Finished));
    for open in sinks {
        open.sink.finish(&summary).expect("written");
    }
    assert!(read("report.html").contains("PASS") && !read("report.html").contains("RUNNING"));
    assert!(read("new/report.md").starts_with("## ✅ PASS"));
    assert!(read("charts.svg").ends_with("</svg>\n"));
}

#[test]
fn markdown_is_verdict_thresholds_and_one_table_with_the_rest_folded() {
    let (_, view) = report(TYPICAL);
    let document = markdown::document(&view);
    assert!(document.starts_with("## ✅ PASS: cache-eviction\n\n> SIMULATED: the embedded simulator answered, not a real server."), "{document}");
    assert_eq!(document.matches("<details>").count(), document.matches("</details>").count());
    let head = document.split("<details>").next().expect("a head");
    assert!(head.contains("| warm | ttft.p50 &lt;= 0.5 \\* cold.ttft.p50 |"), "{head}");
    assert!(document.contains("Rungs of ladder") && document.len() < 20_000);
    let widths = |row: &str| row.matches(" | ").count();
    let rows: Vec<&str> = head.lines().filter(|line| line.starts_with("| stage")).collect();
    assert!(rows.iter().all(|row| widths(row) == 12), "{rows:?}");
}

/// By hand, in a release build: `cargo test --release --test it -- --ignored a_million`.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "writes 1.2 GB and is only meaningful in a release build"]
fn a_million_records_are_reported_in_ten_seconds_and_500_megabytes() {
    use std::io::{BufWriter, Write};
    use std::time::Instant;

    use runner::metrics::record_log;

    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let log = fs::File::create(folder.path().join(record_log::segment_name(1))).expect("a file");
    let (mut log, mut bytes, mut seq) = (BufWriter::new(log), Vec::new(), 0);
    lines(Shape { repeats: 100_000, rung_seconds: 7_071, hostile: false }, &mut |line| {
        bytes.clear();
        record_log::encode(&line, seq, &mut bytes).expect("plain data");
        log.write_all(&bytes).expect("written");
        seq += 1;
    });
    log.flush().expect("written");

    let started = Instant::now();
    let (mut aggregator, mut samples) = (Aggregator::new(), RunSamples::default());
    record_log::read(folder.path(), |_, line| {
        samples.line(&line);
        aggregator.line(&line);
    })
    .expect("a log");
    let read = started.elapsed();
    let summary = aggregator.finish(&RunEnd::new(RunState::Finished));
    let summed = started.elapsed();
    let view = view::compose(&summary, &samples, &Background::default());
    let page = html::document(&view).expect("a page");
    let status = fs::read_to_string("/proc/self/status").expect("this is Linux");
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).expect("a peak");
    println!(
        "{seq} lines: read {read:?}, summed up {summed:?}, page {:?} of {} bytes; {peak}",
        started.elapsed(),
        page.len()
    );
    assert!(started.elapsed().as_secs() < 10);
    let kilobytes: u64 = peak.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("kB");
    assert!(kilobytes < 500_000);
}

#[cfg(feature = "plots")]
#[test]
fn the_sheet_is_a_picture_of_every_chart() {
    let (_, view) = report(TYPICAL);
    let sheet = sheet::sheet(&view);
    // Where no heading stands above a chart, its title says whose it is.
    let drawn = svg::document(&sheet, &view.headline);
    assert!(drawn.contains(">ladder: Throughput<") && !drawn.contains(">Throughput<"));
    let png = runner::report::png::document(&sheet).expect("a picture");
    assert!(png.starts_with(b"\x89PNG") && png.len() < 2_000_000, "{}", png.len());
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("report");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("sheet.png"), png).expect("written");
    fs::write(folder.join("sheet.svg"), svg::document(&sheet, &view.headline)).expect("written");
}

#[test]
fn a_ladder_that_never_ran_is_not_called_saturated() {
    let (mut aggregator, mut samples) = (Aggregator::new(), RunSamples::default());
    lines(TYPICAL, &mut |line| {
        samples.line(&line);
        aggregator.line(&line);
    });
    let mut summary = aggregator.finish(&RunEnd::new(RunState::Interrupted));
    for stage in summary.stages.iter_mut().filter(|stage| stage.rung.is_some()) {
        let planned = stage.counts.planned;
        stage.counts = Counts { planned, never_started: planned, ..Counts::default() };
        stage.success_rate = None;
        stage.state = StageState::Interrupted;
    }
    summary.saturation = saturation::of_stages(&summary.stages);
    let summary = summary.with_claims();
    let view = view::compose(&summary, &samples, &Background::default());
    let said = format!("{} {}", view.headline, view.findings.join(" "));
    assert!(!said.contains("saturated") && !said.contains("sustainable"), "{said}");
    assert!(view.tiles.iter().all(|tile| !tile.name.contains("sustainable")), "{:?}", view.tiles);
    // All of its requests are told of, and each rung has its row.
    let rungs = summary.stages.iter().filter(|stage| stage.rung.is_some());
    let (rungs, planned) =
        rungs.fold((0, 0), |(rungs, sum), stage| (rungs + 1, sum + stage.counts.planned));
    let story = &view.stages.last().expect("the ladder").story;
    let all = runner::metrics::quantity::plural(planned, "request");
    assert_eq!(story[0], format!("{all}, none of them started."));
    let rows = view.overview.rows.iter().filter(|row| row[0].text.starts_with("ladder@"));
    assert_eq!(rows.count(), rungs);
}

#[test]
fn a_threshold_that_only_warns_has_not_held() {
    let (mut summary, _) = report(TYPICAL);
    let judged = summary.stages.iter_mut().flat_map(|stage| &mut stage.thresholds);
    let first = judged.into_iter().next().expect("a threshold");
    (first.pass, first.level) = (false, Level::Warn);
    let count: usize = summary.stages.iter().map(|stage| stage.thresholds.len()).sum();
    let summary = summary.with_claims();
    let view = view::compose(&summary, &RunSamples::default(), &Background::default());
    let said = format!("{count} checks, none failed; 1 warning.");
    assert_eq!(view.verdict.word, "PASS");
    assert!(view.verdict.reason.contains(&said), "{}", view.verdict.reason);
}
