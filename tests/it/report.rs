//! Reports of a synthetic run: what they say, what they never say, how large they get.

use std::fs;
use std::path::PathBuf;

use runner::metrics::aggregator::Aggregator;
use runner::metrics::summary::{RunEnd, RunState, Summary};
use runner::report::samples::RunSamples;
use runner::report::view::{self, Background, Fact, ReportView};
use runner::report::{html, markdown};

use crate::synthetic_run::{HOSTILE, Shape, TYPICAL, lines};

fn report(shape: Shape) -> (Summary, ReportView) {
    let (mut aggregator, mut samples) = (Aggregator::new(), RunSamples::default());
    lines(shape, &mut |line| {
        samples.line(&line);
        aggregator.line(&line);
    });
    let summary = aggregator.finish(&RunEnd::new(RunState::Finished));
    let text = |plain: &str| if shape.hostile { HOSTILE.to_owned() } else { plain.to_owned() };
    let background = Background {
        description: Some(text(
            "How much TTFT does the prefix cache buy, and is it gone after a flush?",
        )),
        params: vec![Fact { detail: "default".into(), ..Fact::new("docs", text("40")) }],
        environment: vec![Fact::new("host", text("linux x86_64, 2 cores"))],
    };
    let view = view::compose(&summary, &samples, &background);
    (summary, view)
}

/// Where pages are left for `tests/browser/check.py`.
fn pages() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("report");
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

#[test]
fn a_typical_run_is_told_in_one_page() {
    let (_, view) = report(TYPICAL);
    let page = html::document(&view).expect("a page");
    fs::write(pages().join("typical.html"), &page).expect("written");
    println!("{}\n{} bytes", view.headline, page.len());
}
