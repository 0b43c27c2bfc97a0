//! Floor 2: plan → graph of stages.
//!
//! In: a checked [`Plan`]. Out: a [`Graph`]: nodes in file order, edges from `needs`, or a
//! diagnostic that names every stage of a cycle. It knows nothing of running; the executor asks it
//! what is [`ready`](Graph::ready) and what a failure [`skips`](Graph::skipped_by).

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;

use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::{Action, FlushMethod, Plan, Rate, ReplayTiming, SearchAxis, Shape, Stage, Until};

/// The stages and what they wait for. Nodes are indices into [`Plan::stages`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    needs: Vec<Vec<usize>>,
}

impl Graph {
    /// Builds the graph of a plan. Errors: one diagnostic per cycle, with a label on every edge.
    pub fn build(plan: &Plan) -> Result<Self, Vec<Diagnostic>> {
        // Edges stay within a cell of the matrix.
        let positions: HashMap<(Option<&str>, &str), usize> = (plan.stages.iter().enumerate())
            .map(|(node, stage)| ((stage.cell_id(), stage.id.as_str()), node))
            .collect();
        let needs: Vec<Vec<usize>> = plan
            .stages
            .iter()
            .map(|stage| {
                let cell = stage.cell_id();
                let position = |id| positions.get(&(cell, id)).copied();
                stage.needs.iter().filter_map(|need| position(need.id.as_str())).collect()
            })
            .collect();
        let graph = Self { needs };
        match graph.cycle() {
            None => Ok(graph),
            Some(cycle) => Err(vec![cycle_diagnostic(&plan.stages, &cycle)]),
        }
    }

    /// The stages that `node` waits for.
    pub fn needs(&self, node: usize) -> &[usize] {
        &self.needs[node]
    }

    /// Number of stages.
    pub fn len(&self) -> usize {
        self.needs.len()
    }

    /// Whether there are no stages.
    pub fn is_empty(&self) -> bool {
        self.needs.is_empty()
    }

    /// The stages, in file order, whose needs are all settled and which are not settled or
    /// running themselves.
    pub fn ready(&self, is_settled: &[bool], is_running: &[bool]) -> Vec<usize> {
        (0..self.len())
            .filter(|&node| !is_settled[node] && !is_running[node])
            .filter(|&node| self.needs[node].iter().all(|&need| is_settled[need]))
            .collect()
    }

    /// Every stage that can't run once `failed` has failed: its dependents and theirs.
    pub fn skipped_by(&self, failed: usize) -> Vec<usize> {
        let mut reached = vec![false; self.len()];
        let mut open = vec![failed];
        while let Some(node) = open.pop() {
            for (dependent, needs) in self.needs.iter().enumerate() {
                if !reached[dependent] && needs.contains(&node) {
                    reached[dependent] = true;
                    open.push(dependent);
                }
            }
        }
        (0..self.len()).filter(|&node| reached[node]).collect()
    }

    /// One cycle as a list of nodes in which each needs the next and the last needs the first.
    fn cycle(&self) -> Option<Vec<usize>> {
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            New,
            Open,
            Done,
        }
        // Iterative, so that a chain of 10,000 stages needs no deep stack.
        let mut mark = vec![Mark::New; self.len()];
        for root in 0..self.len() {
            if mark[root] != Mark::New {
                continue;
            }
            let mut path = vec![(root, 0)];
            mark[root] = Mark::Open;
            while let Some((node, next)) = path.last_mut() {
                let Some(&need) = self.needs[*node].get(*next) else {
                    mark[*node] = Mark::Done;
                    path.pop();
                    continue;
                };
                *next += 1;
                match mark[need] {
                    Mark::Done => {}
                    Mark::New => {
                        mark[need] = Mark::Open;
                        path.push((need, 0));
                    }
                    Mark::Open => {
                        let from = path.iter().position(|(node, _)| *node == need)?;
                        return Some(path[from..].iter().map(|(node, _)| *node).collect());
                    }
                }
            }
        }
        None
    }

    /// The graph in Mermaid's flowchart language.
    pub fn to_mermaid(&self, plan: &Plan) -> String {
        let mut text = String::from("flowchart TD\n");
        for (number, cell) in cells(plan).enumerate() {
            if let Some(id) = cell.id {
                let _ = writeln!(text, "  subgraph c{number}[\"{}\"]", id.replace('"', "#quot;"));
            }
            for node in cell.nodes.clone() {
                let stage = &plan.stages[node];
                let _ = writeln!(text, "  s{node}[\"{}<br/>{}\"]", stage.id, describe(stage));
            }
            if cell.id.is_some() {
                text.push_str("  end\n");
            }
        }
        for node in 0..self.len() {
            for need in &self.needs[node] {
                let _ = writeln!(text, "  s{need} --> s{node}");
            }
        }
        text
    }

    /// The graph in Graphviz's dot language.
    pub fn to_dot(&self, plan: &Plan) -> String {
        let mut text = String::from("digraph plan {\n  rankdir=TB;\n  node [shape=box];\n");
        for (number, cell) in cells(plan).enumerate() {
            if let Some(id) = cell.id {
                let id = id.replace('\\', "\\\\").replace('"', "\\\"");
                let _ = writeln!(text, "  subgraph cluster_{number} {{ label=\"{id}\";");
            }
            for node in cell.nodes.clone() {
                let stage = &plan.stages[node];
                let words = describe(stage);
                let _ = writeln!(text, "  s{node} [label=\"{}\\n{words}\"];", stage.id);
            }
            if cell.id.is_some() {
                text.push_str("  }\n");
            }
        }
        for node in 0..self.len() {
            for need in &self.needs[node] {
                let _ = writeln!(text, "  s{need} -> s{node};");
            }
        }
        text.push_str("}\n");
        text
    }
}

/// Neighbouring stages of one cell of the matrix; of none without a matrix.
pub struct CellNodes<'p> {
    /// The cell's id.
    pub id: Option<&'p str>,
    /// Its stages, by number.
    pub nodes: Range<usize>,
}

/// The stages of a plan, cell by cell.
pub fn cells(plan: &Plan) -> impl Iterator<Item = CellNodes<'_>> {
    let mut next = 0;
    let of_one = plan.stages.chunk_by(|left, right| left.cell_id() == right.cell_id());
    of_one.map(move |stages| {
        let nodes = next..next + stages.len();
        next = nodes.end;
        CellNodes { id: stages[0].cell_id(), nodes }
    })
}

/// What a stage will do, in a few words: `cold, 8 requests`.
pub fn describe(stage: &Stage) -> String {
    match &stage.action {
        Action::Cold(repeat) | Action::Warm(repeat) => {
            let kind = stage.action.kind();
            let plural = if repeat.requests == 1 { "" } else { "s" };
            match repeat.concurrency {
                1 => format!("{kind}, {} request{plural}", repeat.requests),
                n => format!("{kind}, {} request{plural}, {n} at a time", repeat.requests),
            }
        }
        Action::Flush(flush) => match flush.with {
            FlushMethod::Auto => "flush, however the server can".into(),
            FlushMethod::Http => "flush by the server's own endpoint".into(),
            FlushMethod::Traffic => "flush by foreign traffic".into(),
        },
        Action::Pause(length) => format!("pause {length:?}"),
        Action::Load(load) => {
            let most = match &load.shape {
                Shape::Open(open) => match &open.rate {
                    Rate::Constant(rate) => format!("{rate}/s"),
                    Rate::Pieces(pieces) => {
                        let most = pieces.iter().map(|it| it.from.max(it.to)).fold(0.0, f64::max);
                        format!("up to {most}/s")
                    }
                },
                Shape::Closed(closed) => format!("{} at a time", closed.users),
            };
            let rounds = match load.rounds {
                1 => String::new(),
                rounds => format!(", {rounds} rounds"),
            };
            format!("load, {most}, {}{rounds}", until(load.until))
        }
        Action::QpsLadder(ladder) => {
            format!("ladder of {} requests/s, {} each", levels(&ladder.rates), until(ladder.step))
        }
        Action::ConcurrencyRamp(ramp) => {
            let at_once: Vec<f64> = ramp.levels.iter().map(|level| *level as f64).collect();
            format!("ramp of {} at a time, {} each", levels(&at_once), until(ramp.step))
        }
        Action::Search(search) => {
            let what = match search.over {
                SearchAxis::Rate { .. } => "requests/s",
                SearchAxis::Concurrency { .. } => "at a time",
            };
            let (low, each) = (search.low, until(search.step));
            format!("search for the most {what} from {low} on, {each} each")
        }
        Action::Replay(replay) => {
            let pace = match replay.timing {
                ReplayTiming::Log { speed, .. } if (speed - 1.0).abs() < 1e-9 => {
                    "at the log's own times".to_owned()
                }
                ReplayTiming::Log { speed, .. } => format!("at {speed} × the log's own pace"),
                ReplayTiming::Rate { rate, .. } => format!("at {rate}/s"),
            };
            let percent = ((replay.sample.end - replay.sample.start) * 1e5).round() / 1e3;
            let part = if percent < 100.0 {
                format!(", {percent} % of its conversations")
            } else {
                String::new()
            };
            let length = replay.until.map(|it| format!(", {}", until(it))).unwrap_or_default();
            format!("replay {pace}{part}{length}")
        }
        Action::Conversation(conversation) => {
            let sessions = match conversation.sessions {
                Some(sessions) => format!("{sessions} sessions"),
                None => "the dataset's sessions".into(),
            };
            let length = conversation.duration.map(|length| format!(" for {length:?}"));
            let at_once = conversation.config.concurrency.unwrap_or(1);
            format!("conversation, {sessions}{}, {at_once} at a time", length.unwrap_or_default())
        }
    }
}

fn until(until: Until) -> String {
    let requests = until.requests().map(|requests| format!("{requests} requests"));
    let duration = until.duration().map(|duration| format!("{duration:?}"));
    requests.into_iter().chain(duration).collect::<Vec<_>>().join(" or ")
}

/// `1, 2, 4 … 32`
fn levels(levels: &[f64]) -> String {
    let text =
        |levels: &[f64]| levels.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match levels {
        [first, second, .., last] if levels.len() > 5 => format!("{first}, {second} … {last}"),
        _ => text(levels),
    }
}

fn cycle_diagnostic(stages: &[Stage], cycle: &[usize]) -> Diagnostic {
    let mut path: Vec<&str> = cycle.iter().map(|&node| stages[node].id.as_str()).collect();
    path.push(path[0]);
    let mut diagnostic = Diagnostic::error(
        Code::Cycle,
        format!("these stages wait for each other: {}", path.join(" → ")),
    )
    .help("take one of these out of `needs`");
    for (step, &node) in cycle.iter().enumerate() {
        let next = &stages[cycle[(step + 1) % cycle.len()]].id;
        let need = stages[node].needs.iter().find(|need| &need.id == next);
        let location = need.map_or(&stages[node].location, |need| &need.location);
        diagnostic =
            diagnostic.label(location.clone(), format!("`{}` needs `{next}`", stages[node].id));
    }
    diagnostic
}
