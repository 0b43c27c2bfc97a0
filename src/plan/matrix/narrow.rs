//! `--matrix AXIS=VALUE` and `--shard K/N`: which cells of a matrix run.
//!
//! In: every cell, in order. Out: those wanted, with the numbers they have in the whole. Invariant: a
//! flag that leaves nothing, or names what the matrix has not, is an error.

use super::{Axis, AxisValue, Combination, Layout};
use crate::plan::diagnostic::{Code, Diagnostic};
use crate::plan::params::Typed;
use crate::plan::{suggest, units};

impl Layout<'_> {
    /// Keeps the cells that `--matrix` asks for: one of the values of each axis that it names.
    pub(super) fn filter(&mut self, axes: &[Axis], cells: &mut Vec<Combination>) {
        let wanted = &self.options.matrix;
        let names = || axes.iter().map(|axis| axis.name.as_str());
        let mut kept: Vec<Vec<&str>> = vec![Vec::new(); axes.len()];
        for (name, value) in wanted {
            let Some(index) = axes.iter().position(|axis| axis.name == *name) else {
                let message = format!("--matrix {name}={value}: the matrix has no axis `{name}`");
                let near = suggest::did_you_mean(name, names());
                let diagnostic = Diagnostic::error(Code::Selection, message);
                let diagnostic = if near.is_empty() { diagnostic } else { diagnostic.help(near) };
                let known = format!("axes: {}", suggest::list(names()));
                self.found.push(diagnostic.help(known));
                continue;
            };
            let is_it = |cell: &Combination| cell.values[index].1.is(value);
            if !cells.iter().any(is_it) {
                let mut values: Vec<&str> = Vec::new();
                for cell in cells.iter() {
                    let text = cell.values[index].1.text.as_str();
                    if !values.contains(&text) {
                        values.push(text);
                    }
                }
                let message = format!("--matrix {name}={value}: no cell has this value");
                let place = self.sources.location(axes[index].span);
                let mut diagnostic =
                    Diagnostic::error(Code::Selection, message).label(place, "the axis");
                if let Some((first, rest)) = value.split_once(',') {
                    let second = rest.split(',').next().unwrap_or_default();
                    diagnostic = diagnostic.help(format!(
                        "for several values repeat the flag: `--matrix {name}={first} --matrix {name}={second}`"
                    ));
                } else if value.parse::<f64>().is_err()
                    && let Some(near) = suggest::nearest(value, values.iter().copied())
                {
                    diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
                }
                values.truncate(20);
                self.found.push(diagnostic.help(format!("values: {}", suggest::list(values))));
            }
            kept[index].push(value);
        }
        cells.retain(|cell| {
            cell.values.iter().zip(&kept).all(|((_, value), kept)| {
                kept.is_empty() || kept.iter().any(|wanted| value.is(wanted))
            })
        });
        if cells.is_empty() && !wanted.is_empty() && self.found.is_empty() {
            let message = "--matrix: no cell has all of these values";
            self.found.push(Diagnostic::error(Code::Selection, message).help("ask for fewer"));
        }
    }

    /// Keeps every N-th cell.
    pub(super) fn shard(&mut self, cells: &mut Vec<Combination>) {
        let Some((shard, of)) = self.options.shard else { return };
        let total = cells.len();
        let mut number = 0;
        cells.retain(|_| {
            number += 1;
            (number - 1) % of.max(1) == shard.saturating_sub(1)
        });
        if cells.is_empty() && total > 0 {
            let message = format!("--shard {shard}/{of}: there are only {total} cells");
            self.found.push(Diagnostic::error(Code::Selection, message).help("use fewer shards"));
        }
    }
}

impl AxisValue {
    /// Whether a text on the command line means this value.
    fn is(&self, text: &str) -> bool {
        self.text == text
            || match &self.typed {
                Typed::Int(value) => units::count(text).is_ok_and(|other| other == *value),
                Typed::Float(value) => {
                    units::number(text).is_ok_and(|other| other.total_cmp(value).is_eq())
                }
                Typed::Bool(_) | Typed::List(_) | Typed::Text(..) => false,
            }
    }
}
