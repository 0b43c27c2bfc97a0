//! Every chart of a run on one sheet, for a slide or a chat.
//!
//! In: the view. Out: a [`Scene`] with the headline above, three charts to a row. Invariant: a
//! simulated or insecure run says so in its first line.

use super::chart::Chart;
use super::draw::{Frame, draw};
use super::marks;
use super::scene::Scene;
use super::view::{Picture, ReportView};

/// Charts beside each other.
const COLUMNS: usize = 3;
/// Size of one chart.
const FRAME: Frame = Frame { width: 460.0, height: 300.0, titled: true, left: 0.0 };

/// The sheet.
pub fn sheet(view: &ReportView) -> Scene {
    // On the page a heading says whose charts these are; here each title must.
    let stages = view.stages.iter().flat_map(|stage| {
        stage.charts.iter().map(|picture| {
            let title = format!("{}: {}", stage.name, picture.chart.title);
            draw(&Chart { title, ..picture.chart.clone() }, FRAME)
        })
    });
    let plainly = |picture: &Picture| draw(&picture.chart, FRAME);
    let around = (view.comparisons.iter().map(plainly), view.timeline.iter().map(plainly));
    let charts = around.0.chain(stages).chain(around.1).collect();
    let mark = marks::prefix(view.simulated, view.insecure);
    let headline = format!("{mark}{}: {}", view.title, view.headline);
    let facts = view.facts.iter().map(|fact| format!("{} {}", fact.name, fact.value));
    let small_print = std::iter::once(view.verdict.word.to_owned()).chain(facts);
    Scene::sheet(&headline, &small_print.collect::<Vec<_>>().join(" · "), charts, COLUMNS)
}
