//! A [`ReportView`] or [`CompareView`] → one HTML file that needs nothing else.
//!
//! In: the view. Out: a page with its style, script, charts and data inside. Invariants: every text
//! is escaped by the template engine or by [`svg`]; the content security policy forbids every
//! request and every style or script but the two whose hashes it names; without the script nothing
//! is missing but read-outs, sorting and switching series off.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::chart::{Axis, Chart, Shape};
use super::compare::{self, CompareView};
use super::draw::{Frame, draw};
use super::palette;
use super::svg;
use super::view::{Picture, ReportView};

const MACROS: &str = include_str!("assets/macros.html");
const HEAD: &str = include_str!("assets/head.html");
const FOOT: &str = include_str!("assets/foot.html");
const PAGE: &str = include_str!("assets/report.html");
const COMPARISON: &str = include_str!("assets/compare.html");
const STYLE: &str = include_str!("assets/report.css");
const SCRIPT: &str = include_str!("assets/report.js");

/// Room for the numbers left of every timeline, so that their moments line up.
const TIMELINE_LEFT: f64 = 62.0;

/// Why a page can't be made (none of these depends on the run).
#[derive(Debug, thiserror::Error)]
#[error("the report's template does not fit its view: {0:#}")]
pub struct HtmlError(#[from] minijinja::Error);

/// The page of a run.
pub fn document(view: &ReportView) -> Result<String, HtmlError> {
    page(PAGE, view.verdict.word, Value::from(Serde(view)), &pictures(view).collect::<Vec<_>>())
}

/// The page of a comparison.
pub fn comparison(view: &CompareView) -> Result<String, HtmlError> {
    page(
        COMPARISON,
        view.word,
        Value::from(Serde(view)),
        &compare::all_pictures(view).collect::<Vec<_>>(),
    )
}

/// A whole page: `template` is what lies between head and foot, `word` the verdict in its title.
fn page(
    template: &str,
    word: &str,
    view: Value,
    pictures: &[&Picture],
) -> Result<String, HtmlError> {
    let style = format!("{}{STYLE}", palette::style_sheet());
    let safe = |text: String| Value::from_safe_string(text);
    let drawings = pictures.iter().map(|picture| (picture.id.as_str(), safe(drawing(picture))));
    let classes = pictures.iter().map(|picture| {
        let series = picture.chart.series.iter().map(|series| series.tone.class());
        (picture.id.as_str(), series.collect::<Vec<_>>())
    });
    let keys = pictures.iter().map(|picture| (picture.id.as_str(), has_key(&picture.chart)));
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let context = context! {
        view => view,
        word => word,
        version => env!("CARGO_PKG_VERSION"),
        policy => policy(&style),
        drawings => drawings.collect::<BTreeMap<_, _>>(),
        classes => classes.collect::<BTreeMap<_, _>>(),
        keys => keys.collect::<BTreeMap<_, _>>(),
        data => safe(data(pictures)),
        style => safe(style.clone()),
        script => safe(SCRIPT.to_owned()),
    };
    Ok(environment.render_str(&format!("{MACROS}{HEAD}{template}{FOOT}"), context)?)
}

/// Every picture of the report.
pub fn pictures(view: &ReportView) -> impl Iterator<Item = &Picture> {
    let stages = view.stages.iter().flat_map(|stage| &stage.charts);
    view.comparisons.iter().chain(stages).chain(&view.timeline)
}

fn has_key(chart: &Chart) -> bool {
    chart.series.len() > 1 && chart.y.categories.is_empty()
}

/// The picture twice: for wide windows and print, and for phones.
fn drawing(picture: &Picture) -> String {
    let (wide, narrow) = sizes(picture);
    let label = format!("{}. {}", picture.chart.title, picture.caption);
    let timeline = picture.id.starts_with("time-");
    let draw = |(width, height), class| {
        let left = if timeline { TIMELINE_LEFT } else { 0.0 };
        let frame = Frame { width, height, titled: false, left };
        svg::fragment(&draw(&picture.chart, frame), class, &label)
    };
    draw(wide, "wide") + &draw(narrow, "narrow")
}

/// Width and height for wide windows, then for phones.
fn sizes(picture: &Picture) -> ((f64, f64), (f64, f64)) {
    let rows = picture.chart.y.categories.len() as f64;
    match picture.id.as_str() {
        id if id.starts_with("changes-") => {
            ((1000.0, 60.0 + rows * 38.0), (370.0, 60.0 + rows * 38.0))
        }
        "ttft" => ((1000.0, 50.0 + rows * 56.0), (370.0, 50.0 + rows * 56.0)),
        "time-ttft" => ((1000.0, 320.0), (370.0, 280.0)),
        id if id.starts_with("time-") => ((1000.0, 180.0), (370.0, 180.0)),
        _ => ((480.0, 290.0), (370.0, 260.0)),
    }
}

fn policy(style: &str) -> String {
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; \
         form-action 'none'",
        BASE64_STANDARD.encode(Sha256::digest(style.as_bytes())),
        BASE64_STANDARD.encode(Sha256::digest(SCRIPT.as_bytes())),
    )
}

/// What the script reads, as JSON that can't end its element early.
fn data(pictures: &[&Picture]) -> String {
    let charts: Vec<_> = pictures.iter().map(|picture| chart_data(picture)).collect();
    let json = serde_json::Value::from(charts).to_string();
    let mut out = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            letter => out.push(letter),
        }
    }
    out
}

fn chart_data(picture: &Picture) -> serde_json::Value {
    let chart = &picture.chart;
    let axis = |axis: &Axis| {
        json!({
            "label": axis.label, "unit": axis.unit, "scale": axis.scale,
            "min": axis.min, "max": axis.max, "rows": axis.categories.len(),
            "title": if axis.label.is_empty() { chart.title.as_str() } else { &axis.label },
        })
    };
    let series = chart.series.iter().map(|series| {
        let points = series.points.iter().map(|[x, y]| json!([short(*x), short(*y)]));
        json!({
            "name": series.name, "tone": series.tone.class(), "shape": series.shape,
            "points": points.collect::<Vec<_>>(),
        })
    });
    let dots = chart.series.iter().any(|series| series.shape == Shape::Dots);
    let snap = match (dots, chart.y.unit) {
        (true, _) => "dot",
        (_, "share") if chart.x.unit == "ms" => "y",
        _ => "x",
    };
    json!({
        "id": picture.id, "snap": snap, "x": axis(&chart.x), "y": axis(&chart.y),
        "series": series.collect::<Vec<_>>(),
    })
}

/// Five significant digits: more than a read-out shows.
fn short(value: f64) -> serde_json::Value {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return format!("{value:.0}").parse::<i64>().map_or(serde_json::Value::Null, Into::into);
    }
    let text = format!("{value:.4e}");
    text.parse::<f64>().map_or(serde_json::Value::Null, Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_true() {
        assert_eq!(short(12.0).to_string(), "12");
        assert_eq!(short(1_234.567).to_string(), "1234.6");
        assert_eq!(short(f64::NAN), serde_json::Value::Null);
    }
}
