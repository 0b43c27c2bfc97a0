//! What the cells of a matrix have in common and what they say.
//!
//! In: one cell after another. Out: its axes as params, the stages selected over all cells, and
//! every finding once. Invariant: what is wrong in some cells only names one of them.

use std::collections::{BTreeSet, HashMap};

use super::super::diagnostic::{Diagnostic, Severity};
use super::super::file::ParamType;
use super::super::matrix::Combination;
use super::super::params::{self, Resolved};
use super::super::{Param, Plan, select};
use super::LoadOptions;

/// Gives the axes their values in one cell; returns them as params.
pub(super) fn take_values(params: &mut Vec<Resolved>, combination: &Combination) -> Vec<Param> {
    let mut shown = Vec::new();
    for (name, value) in &combination.values {
        let index = params.iter().position(|param| *param.shown.name == **name);
        let index = index.unwrap_or_else(|| {
            params.push(params::axis(name, value.span));
            params.len() - 1
        });
        let param = &mut params[index];
        param.shown.value = value.typed.json();
        if param.rules.is_none() {
            value.typed.kind().name().clone_into(&mut param.shown.kind);
        }
        "matrix".clone_into(&mut param.shown.source);
        param.value = Some(value.typed.node(value.span));
        param.from_plan = value.from_plan;
        shown.push(param.shown.clone());
    }
    shown
}

/// Shows an axis with all its values rather than those of the first cell, and as a text when they
/// are of several types.
pub(super) fn show_axes(params: &mut [Param], declared: &[Resolved], cells: &[Combination]) {
    for param in params.iter_mut().filter(|param| param.source == "matrix") {
        let is_declared = declared.iter().any(|it| it.shown.name == param.name && it.is_axis);
        if !is_declared {
            type_of(&param.name, cells).name().clone_into(&mut param.kind);
        }
        let mut values: Vec<serde_json::Value> = Vec::new();
        for cell in cells {
            let own = cell.values.iter().find(|(name, _)| **name == *param.name);
            let own = own.map(|(_, value)| value.typed.json());
            values.extend(own.filter(|own| !values.contains(own)));
        }
        param.value = values.into();
    }
}

/// The type of an axis that nobody declares: what all its values are, else a text.
fn type_of(axis: &str, cells: &[Combination]) -> ParamType {
    let values = cells.iter().flat_map(|cell| &cell.values).filter(|(name, _)| **name == *axis);
    let kinds: Vec<ParamType> = values.map(|(_, value)| value.typed.kind()).collect();
    let all = |wanted: &[ParamType]| kinds.iter().all(|kind| wanted.contains(kind));
    match kinds.first() {
        Some(first) if all(&[*first]) => *first,
        _ if all(&[ParamType::Int, ParamType::Float]) => ParamType::Float,
        _ => ParamType::String,
    }
}

/// What was selected, over all cells.
pub(super) struct Selection {
    known: select::Known,
    pub(super) matched: BTreeSet<String>,
    pub(super) is_empty: bool,
}

impl Default for Selection {
    fn default() -> Self {
        Self { known: select::Known::default(), matched: BTreeSet::new(), is_empty: true }
    }
}

impl Selection {
    pub(super) fn knows(&mut self, plan: &Plan) {
        self.known.add(&plan.stages);
    }

    /// Reports selectors without a stage, unless the plan itself is at fault.
    pub(super) fn judge(&self, options: &LoadOptions, found: &mut Vec<Diagnostic>) {
        self.known.unmatched(self.is_empty, options, &self.matched, found);
    }
}

/// What the cells had to say, each thing once.
#[derive(Default)]
pub(super) struct Heard {
    cells: usize,
    said: Vec<(Diagnostic, String, usize)>,
    /// Where in `said` each stands.
    known: HashMap<Diagnostic, usize>,
}

impl Heard {
    pub(super) fn of(&mut self, cell: &str, found: Vec<Diagnostic>) {
        self.cells += 1;
        for diagnostic in found {
            let index = *self.known.entry(diagnostic).or_insert_with_key(|diagnostic| {
                self.said.push((diagnostic.clone(), String::new(), 0));
                self.said.len() - 1
            });
            let (_, last, count) = &mut self.said[index];
            if last != cell {
                cell.clone_into(last);
                *count += 1;
            }
        }
    }

    pub(super) fn errors(&self) -> usize {
        self.said.iter().filter(|(it, ..)| it.severity == Severity::Error).count()
    }

    /// With the cell where it is not all of them.
    pub(super) fn told(self) -> impl Iterator<Item = Diagnostic> {
        let cells = self.cells;
        self.said.into_iter().map(move |(diagnostic, cell, count)| match count {
            _ if count == cells => diagnostic,
            1 => diagnostic.help(format!("in the cell `{cell}`")),
            _ => diagnostic.help(format!("in {count} cells, `{cell}` among them")),
        })
    }
}
