//! Every chart of a run on one sheet, for a slide or a chat.
//!
//! In: the view. Out: a [`Scene`] with the headline above, three charts to a row. Invariant: a
//! simulated run says so in its first line.

use super::draw::{Frame, draw};
use super::html::pictures;
use super::scene::Scene;
use super::view::ReportView;

/// Charts beside each other.
const COLUMNS: usize = 3;
/// Size of one chart.
const FRAME: Frame = Frame { width: 460.0, height: 300.0, titled: true, left: 0.0 };

/// The sheet.
pub fn sheet(view: &ReportView) -> Scene {
    let charts = pictures(view).map(|picture| draw(&picture.chart, FRAME)).collect();
    let simulated = if view.simulated { "SIMULATED · " } else { "" };
    let headline = format!("{simulated}{}: {}", view.title, view.headline);
    let facts = view.facts.iter().map(|fact| format!("{} {}", fact.name, fact.value));
    let small_print = std::iter::once(view.verdict.word.to_owned()).chain(facts);
    Scene::sheet(&headline, &small_print.collect::<Vec<_>>().join(" · "), charts, COLUMNS)
}
