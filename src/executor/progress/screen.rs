//! A [`Board`] → one full screen of text.
//!
//! In: the board and the size of the terminal. Out: as many rows as it has, each as wide at most, with
//! colours where they may be. Invariants: nothing is wider or higher than the terminal; names from a
//! plan or a server are shown, never obeyed.

use super::board::{Board, HISTOGRAM, StageBoard, sparkline};
use super::braille::Canvas;
use crate::metrics::quantity::{grouped, show, significant};
use crate::report::escape::printable;

/// The charts look back on this much, in nanoseconds.
const WINDOW_NS: u64 = 60_000_000_000;
/// Least height of a chart, in rows, with its title.
const CHART_ROWS: usize = 6;
/// Columns for the labels of a vertical axis.
const LABEL: usize = 9;

/// Size of a terminal and whether it takes colours.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Colours may be used.
    pub colour: bool,
}

/// The whole screen.
pub fn draw(board: &Board, place: Place) -> Vec<String> {
    let Place { width, height, .. } = place;
    let mut rows = vec![head(board, width), Row::plain("─".repeat(width))];
    // Head, rule, column heads, a blank row, a rule and the foot are always there.
    let fixed = 6;
    let room = height.saturating_sub(fixed);
    let wanted = board.stages.len() + board.waiting.len() + 1;
    let charts = if room >= CHART_ROWS + 4 { room.saturating_sub(wanted).max(room / 2) } else { 0 };
    rows.extend(stages(board, height.saturating_sub(fixed + charts), width));
    if charts > 0 {
        rows.push(Row::default());
        rows.extend(pictures(board, width, charts));
    }
    rows.truncate(height.saturating_sub(2));
    while rows.len() + 2 < height {
        rows.push(Row::default());
    }
    rows.push(Row::plain("─".repeat(width)));
    rows.push(Row::dim("Ctrl-C ends the run and keeps its results; once more leaves at once"));
    rows.truncate(height);
    rows.into_iter().map(|row| row.show(width, place.colour)).collect()
}

fn head(board: &Board, width: usize) -> Row {
    let total = board.stages.len() + board.waiting.len();
    let mut row = Row::bold(&format!(" {} ", printable(&board.plan)));
    if board.simulated {
        row.add(Style::Warn, " SIMULATED ");
    }
    let errors: u64 = board.stages.iter().flat_map(|stage| stage.errors.values()).sum();
    let done: u64 = board.stages.iter().map(|stage| stage.done).sum();
    let begun = board.stages.len().min(total);
    row.add(
        Style::Plain,
        &format!(
            " stage {begun} of {total}   {}   {} requests",
            clock(board.now_ns as f64 / 1e9),
            grouped(done)
        ),
    );
    if errors > 0 {
        row.add(Style::Bad, &format!("   {} failed", grouped(errors)));
    }
    row.clipped(width)
}

/// A row for each stage, the newest last; what is to come below while there is room.
fn stages(board: &Board, room: usize, width: usize) -> Vec<Row> {
    let name = |stage: &StageBoard| printable(&stage.name()).into_owned();
    let widest = board.stages.iter().map(|stage| name(stage).chars().count()).max().unwrap_or(0);
    let widest = widest.clamp(8, (width / 3).max(8));
    let bar = if width > 110 { 20 } else { 10 };
    let mut rows = vec![Row::dim(&format!(
        "  {:<widest$}  {:<bar$}  {:>13} {:>7} {:>8} {:>8} {:>9} {:>9} {:>7}  errors",
        "stage", "", "requests", "flight", "req/s", "tok/s", "TTFT p50", "p99", "left"
    ))];
    let room = room.saturating_sub(1);
    let to_come = board.waiting.len().min(room / 3);
    let skip = board.stages.len().saturating_sub(room - to_come.min(room));
    for stage in board.stages.iter().skip(skip) {
        rows.push(stage_row(board, stage, &name(stage), widest, bar));
    }
    for id in board.waiting.iter().take(room.saturating_sub(rows.len() - 1)) {
        rows.push(Row::dim(&format!("  {}", printable(id))));
    }
    rows
}

fn stage_row(board: &Board, stage: &StageBoard, name: &str, widest: usize, bar: usize) -> Row {
    let now = board.now_ns;
    let name: String = name.chars().take(widest).collect();
    let (mark, style) = match stage.mark() {
        None => ("▶", Style::Bold),
        Some("done") => ("✓", Style::Good),
        Some("-") => ("-", Style::Dim),
        Some(_) => ("✗", Style::Bad),
    };
    let mut row = Row::default();
    row.add(style, mark);
    row.add(
        if stage.end.is_none() { Style::Bold } else { Style::Plain },
        &format!(" {name:<widest$}  "),
    );
    let planned = stage.start.planned;
    if let Some(verdict) = stage.verdict {
        row.add(Style::Plain, &format!("flush {verdict} in {:.1} s", stage.seconds(now)));
        return row;
    }
    if planned == 0 && stage.done == 0 {
        row.add(Style::Dim, &format!("{} {:.1} s", stage.start.kind, stage.seconds(now)));
        return row;
    }
    let share = if planned > 0 { stage.done as f64 / planned as f64 } else { 0.0 };
    row.add(Style::Good, &gauge(share, bar));
    let of = if planned > 0 {
        format!("{}/{}", grouped(stage.done), grouped(planned))
    } else {
        grouped(stage.done)
    };
    let rates = stage.rates(now);
    let number = |value: Option<f64>| value.map(|it| significant(it, 3)).unwrap_or_default();
    let ms = |quantile| stage.ttft_ms(quantile).map(|it| show(it, "ms")).unwrap_or_default();
    let left = match stage.seconds_left(now) {
        Some(left) => clock(left),
        None if stage.end.is_some() => format!("{:.1} s", stage.seconds(now)),
        None => String::new(),
    };
    row.add(
        Style::Plain,
        &format!(
            "  {of:>13} {:>7} {:>8} {:>8} {:>9} {:>9} {left:>7}  ",
            if stage.in_flight > 0 { stage.in_flight.to_string() } else { String::new() },
            number(rates.map(|(requests, _)| requests)),
            // None at all were counted: their number is not known.
            number(rates.map(|(_, tokens)| tokens).filter(|tokens| *tokens > 0.0)),
            ms(0.5),
            ms(0.99),
        ),
    );
    row.add(Style::Bad, &errors(stage));
    row
}

/// `http.503 ×2, timeout.idle ×1`
pub fn errors(stage: &StageBoard) -> String {
    let of = |(class, count): (&String, &u64)| format!("{} ×{count}", printable(class));
    stage.errors.iter().map(of).collect::<Vec<_>>().join(", ")
}

fn gauge(share: f64, width: usize) -> String {
    const EIGHTHS: [char; 9] = ['░', '▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
    let cell = |cell: usize| {
        let eighths = (share.clamp(0.0, 1.0) * width as f64 - cell as f64).clamp(0.0, 1.0) * 8.0;
        let full = EIGHTHS.iter().enumerate().rev().find(|(at, _)| eighths >= *at as f64);
        full.map_or('░', |(_, block)| *block)
    };
    (0..width).map(cell).collect()
}

/// Two charts beside each other: TTFT of every answer, and how many of them there were.
fn pictures(board: &Board, width: usize, height: usize) -> Vec<Row> {
    let left = width.saturating_sub(3) / 2;
    let right = width.saturating_sub(3) - left;
    let from = board.now_ns.saturating_sub(WINDOW_NS);
    let answers: Vec<(u64, f64)> = board
        .stages
        .iter()
        .flat_map(|stage| &stage.answers)
        .filter(|(end, _)| *end >= from)
        .copied()
        .collect();
    let ttft = scatter(&answers, from, board.now_ns, left, height);
    let rate = rates(&answers, from, board.now_ns, right, height.saturating_sub(2));
    let mut rows = Vec::new();
    // Of the stage that runs, or of the last one before it that has answers enough.
    let small = board.stages.iter().rev().find_map(histogram).into_iter();
    let rate: Vec<Row> = rate.into_iter().chain([Row::default()]).chain(small).collect();
    for at in 0..ttft.len().max(rate.len()) {
        let mut row = ttft.get(at).cloned().unwrap_or_default().padded(left);
        row.add(Style::Dim, " │ ");
        row.join(rate.get(at).cloned().unwrap_or_default());
        rows.push(row);
    }
    rows
}

/// TTFT of single answers over the last minute.
fn scatter(answers: &[(u64, f64)], from: u64, now: u64, width: usize, height: usize) -> Vec<Row> {
    let high = answers.iter().map(|(_, ms)| *ms).fold(0.0, f64::max);
    let low = answers.iter().map(|(_, ms)| ms.max(0.01)).fold(f64::INFINITY, f64::min);
    // Cold and warm differ by an order of magnitude or two: then equal ratios are equally high.
    let is_log = high > 10.0 * low;
    let place = |ms: f64| {
        if is_log { (ms.max(low) / low).ln() / (high / low).ln() } else { ms / high.max(0.01) }
    };
    let columns = width.saturating_sub(LABEL);
    let mut canvas = Canvas::new(columns, height.saturating_sub(1));
    for (end, ms) in answers {
        // Two dots wide, to be seen at all.
        let (x, y) = (along(*end, from, now), place(*ms));
        canvas.dot(x, y);
        canvas.dot(x + 0.5 / columns.max(1) as f64, y);
    }
    let scale = if is_log { ", log" } else { "" };
    let bottom = if is_log { show(low, "ms") } else { "0".to_owned() };
    let title = format!("TTFT of each answer, last {} s{scale}", window(from, now));
    framed(&title, &show(high, "ms"), &bottom, &canvas, Style::Series)
}

/// Answers per second over the last minute.
fn rates(answers: &[(u64, f64)], from: u64, now: u64, width: usize, height: usize) -> Vec<Row> {
    let columns = width.saturating_sub(LABEL);
    // Shorter than a second, a step would show nothing but single answers.
    let steps = usize::try_from(window(from, now)).unwrap_or(1).min(columns / 2);
    let mut counts = vec![0_u64; steps.max(2)];
    let last = counts.len() - 1;
    for (end, _) in answers {
        let step =
            (0..=last).rev().find(|at| along(*end, from, now) >= *at as f64 / (last + 1) as f64);
        counts[step.unwrap_or(0)] += 1;
    }
    let seconds = now.saturating_sub(from).max(1) as f64 / 1e9 / counts.len() as f64;
    let most = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    let mut canvas = Canvas::new(columns, height.saturating_sub(1));
    let at =
        |index: usize| [(index as f64 + 0.5) / counts.len() as f64, counts[index] as f64 / most];
    for index in 1..counts.len() {
        canvas.line(at(index - 1), at(index));
    }
    let title = format!("answers per second, last {} s", window(from, now));
    framed(&title, &significant(most / seconds, 3), "0", &canvas, Style::Good)
}

fn along(at: u64, from: u64, now: u64) -> f64 {
    at.saturating_sub(from) as f64 / now.saturating_sub(from).max(1) as f64
}

fn window(from: u64, now: u64) -> u64 {
    now.saturating_sub(from).div_ceil(1_000_000_000)
}

/// A title above a canvas with the axis' two ends at its left.
fn framed(title: &str, top: &str, bottom: &str, canvas: &Canvas, style: Style) -> Vec<Row> {
    let mut rows = vec![Row::dim(title)];
    let drawn = canvas.rows();
    let last = drawn.len().saturating_sub(1);
    for (at, text) in drawn.into_iter().enumerate() {
        let label = match at {
            0 => top,
            at if at == last => bottom,
            _ => "",
        };
        let mut row = Row::dim(&format!("{label:>width$} ", width = LABEL - 1));
        row.add(style, &text);
        rows.push(row);
    }
    rows
}

/// `TTFT 7.6 ms ▁▃█▂ 88 ms`
fn histogram(stage: &StageBoard) -> Option<Row> {
    let (bars, low, high) = stage.histogram()?;
    let mut row =
        Row::dim(&format!("spread of {}: {} ", printable(&stage.name()), show(low, "ms")));
    row.add(Style::Series, &sparkline(&bars[..HISTOGRAM]));
    row.add(Style::Dim, &format!(" {}", show(high, "ms")));
    Some(row)
}

/// `0:12`, `1:02:03`
pub fn clock(seconds: f64) -> String {
    let whole = std::time::Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default();
    let (hours, rest) = (whole.as_secs() / 3600, whole.as_secs() % 3600);
    if hours > 0 {
        format!("{hours}:{:02}:{:02}", rest / 60, rest % 60)
    } else {
        format!("{}:{:02}", rest / 60, rest % 60)
    }
}

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Bold,
    Dim,
    Good,
    Bad,
    Warn,
    Series,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Bad => "31",
            Self::Warn => "30;43",
            Self::Series => "36",
        }
    }
}

/// One row in pieces.
#[derive(Debug, Clone, Default)]
struct Row {
    pieces: Vec<(Style, String)>,
}

impl Row {
    fn plain(text: String) -> Self {
        Self { pieces: vec![(Style::Plain, text)] }
    }

    fn bold(text: &str) -> Self {
        Self { pieces: vec![(Style::Bold, text.to_owned())] }
    }

    fn dim(text: &str) -> Self {
        Self { pieces: vec![(Style::Dim, text.to_owned())] }
    }

    fn add(&mut self, style: Style, text: &str) {
        self.pieces.push((style, text.to_owned()));
    }

    fn join(&mut self, other: Self) {
        self.pieces.extend(other.pieces);
    }

    fn width(&self) -> usize {
        self.pieces.iter().map(|(_, text)| text.chars().count()).sum()
    }

    /// Filled up with blanks, or cut.
    fn padded(self, width: usize) -> Self {
        let mut row = self.clipped(width);
        let missing = width.saturating_sub(row.width());
        row.add(Style::Plain, &" ".repeat(missing));
        row
    }

    fn clipped(self, width: usize) -> Self {
        let mut left = width;
        let mut pieces = Vec::new();
        for (style, text) in self.pieces {
            let kept: String = text.chars().take(left).collect();
            left -= kept.chars().count();
            pieces.push((style, kept));
        }
        Self { pieces }
    }

    fn show(self, width: usize, colour: bool) -> String {
        let piece = |(style, text): (Style, String)| match style.code() {
            _ if !colour || text.is_empty() => text,
            "" => text,
            code => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        };
        self.clipped(width).pieces.into_iter().map(piece).collect()
    }
}
