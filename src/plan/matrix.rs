//! `matrix:` → cells.
//!
//! In: the section with its references filled in, and the params that its axes name. Out: the cells
//! in order (the last axis moves fastest), each a value for every axis. Invariant: no two cells have
//! the same id, and there are never more than [`MAX_CELLS`].

mod narrow;

use std::sync::Arc;

use super::LoadOptions;
use super::diagnostic::{Code, Diagnostic};
use super::params::{Resolved, Typed, is_name};
use super::source::{Entry, Node, Sources, Span, Value};
use super::{suggest, units};

/// More cells than anyone will wait for.
const MAX_CELLS: usize = 10_000;
/// Keys of the section that are no axes.
const RULES: [&str; 3] = ["include", "exclude", "interleave"];

/// One value of one axis.
#[derive(Debug, Clone)]
pub(super) struct AxisValue {
    /// As the cell's id shows it.
    pub(super) text: String,
    pub(super) typed: Typed,
    pub(super) span: Span,
    /// Whether it is written in the plan itself.
    pub(super) from_plan: bool,
}

/// An axis: a param and its values.
#[derive(Debug)]
struct Axis {
    name: String,
    span: Span,
    values: Vec<Arc<AxisValue>>,
}

/// A cell: one value per axis.
#[derive(Debug, Clone)]
pub(super) struct Combination {
    /// `model=a,docs=8`
    pub(super) id: String,
    /// Place in the whole matrix, from 1.
    pub(super) number: usize,
    /// In the order of the axes.
    pub(super) values: Vec<(Arc<str>, Arc<AxisValue>)>,
}

/// The names of the axes, before any of their values is known.
pub(super) fn axes(tree: &Node) -> Vec<String> {
    let entries = tree.get("matrix").map_or(&[][..], Node::entries);
    let names = entries.iter().map(|entry| entry.key.clone());
    names.filter(|name| !RULES.contains(&name.as_str())).collect()
}

/// Lays out a matrix.
pub(super) struct Layout<'m> {
    pub(super) sources: &'m Sources,
    pub(super) params: &'m [Resolved],
    pub(super) options: &'m LoadOptions,
    pub(super) found: &'m mut Vec<Diagnostic>,
}

impl Layout<'_> {
    /// The cells to run; `None` when the matrix can't be used or nothing of it is wanted.
    pub(super) fn cells(&mut self, section: &Entry) -> Option<Vec<Combination>> {
        let before = self.found.len();
        let Value::Map(entries) = &section.node.value else {
            if !matches!(section.node.value, Value::Broken) {
                let message = format!("`matrix` is a map, not {}", section.node.describe());
                let help = "write a list of values for each param: `docs: [8, 64]`";
                self.error(section.node.at.span, message, help);
            }
            return None;
        };
        let written = entries.iter().filter(|entry| !RULES.contains(&entry.key.as_str()));
        let axes: Vec<Option<Axis>> = written.map(|entry| self.axis(entry)).collect();
        // What is missing has been reported, here or when its references were filled in.
        let axes: Vec<Axis> = axes.into_iter().collect::<Option<_>>()?;
        if self.found.len() > before {
            return None;
        }
        let size = axes.iter().map(|axis| axis.values.len()).try_fold(1, usize::checked_mul);
        if axes.is_empty() || size.is_none_or(|size| size > MAX_CELLS) {
            let (message, help) = if axes.is_empty() {
                let help = "write a list of values for each param: `docs: [8, 64]`";
                ("the matrix has no axis".to_owned(), help)
            } else {
                let message = format!("the matrix has more than {MAX_CELLS} cells");
                (message, "shorten an axis, or split the plan")
            };
            self.error(section.key_span, message, help);
            return None;
        }
        let mut cells = product(&axes);
        self.exclude(section.node.get("exclude"), &axes, &mut cells);
        self.include(section.node.get("include"), &axes, &mut cells);
        if self.found.len() > before {
            return None;
        }
        if cells.is_empty() {
            let message = "`exclude` leaves no cell of the matrix".to_owned();
            self.error(section.key_span, message, "remove some of it");
            return None;
        }
        for (index, cell) in cells.iter_mut().enumerate() {
            cell.number = index + 1;
        }
        self.filter(&axes, &mut cells);
        self.shard(&mut cells);
        (self.found.len() == before).then_some(cells)
    }

    /// Whether the cells take turns.
    pub(super) fn interleave(&mut self, section: &Entry) -> bool {
        let Some(node) = section.node.get("interleave") else { return false };
        match &node.value {
            Value::Bool(value) => *value,
            Value::Broken | Value::Null => false,
            _ => {
                let message = format!("`interleave` is true or false, not {}", node.describe());
                let help = "`interleave: true` lets the cells of `cold` and `warm` stages take \
                            turns, request by request";
                self.error(node.at.span, message, help);
                false
            }
        }
    }

    /// An axis; `None` when it can't be used, which has been reported.
    fn axis(&mut self, entry: &Entry) -> Option<Axis> {
        let span = entry.key_span;
        if !is_name(&entry.key) {
            let message = format!("`{}` can't be an axis", entry.key);
            self.error(span, message, "an axis has the name of a param: letters, digits and `_`");
            return None;
        }
        if self.params.iter().any(|param| param.shown.name == entry.key && param.shown.secret) {
            let message = format!("the secret param `{}` can't be an axis", entry.key);
            let help = "the names of cells show the values of axes: let the axis hold names of \
                        endpoints, and each of those its own `${secret:NAME}`";
            self.error(span, message, help);
            return None;
        }
        let node = &entry.node;
        let is_numeric =
            self.declared(&entry.key).is_none_or(|kind| matches!(kind, "int" | "float"));
        let items: Vec<Node> = match &node.value {
            Value::Broken => return None,
            Value::List(items) => items
                .iter()
                .map(|item| {
                    let origin = item.origin.clone().or_else(|| node.origin.clone());
                    Node { origin, ..item.clone() }
                })
                .collect(),
            Value::Map(_) | Value::Null => Vec::new(),
            _ => {
                let text = node.text().unwrap_or_default();
                let of =
                    |value| Node { origin: node.origin.clone(), ..Node::new(value, node.at.span) };
                match units::series(&text) {
                    Ok(numbers) if is_numeric => {
                        numbers.into_iter().map(|number| of(number_value(number))).collect()
                    }
                    _ => text
                        .split(',')
                        .map(str::trim)
                        .filter(|item| !item.is_empty())
                        .map(|item| of(Value::Text(item.to_owned())))
                        .collect(),
                }
            }
        };
        if items.is_empty() {
            let message = format!("the axis `{}` has no values", entry.key);
            let help = "write a list such as `[8, 64]`, or a series such as `1,2,4-32*2`";
            self.error(super::bind::point(self.sources, node), message, help);
            return None;
        }
        let mut values: Vec<Arc<AxisValue>> = Vec::new();
        for item in &items {
            let Some(value) = self.value(&entry.key, item) else { continue };
            if values.iter().any(|other| other.typed == value.typed) {
                let message = format!("`{}` stands twice in the axis `{}`", value.text, entry.key);
                self.error(item.at.span, message, "each value makes one cell; remove one");
            } else {
                values.push(Arc::new(value));
            }
        }
        (!values.is_empty()).then(|| Axis { name: entry.key.clone(), span, values })
    }

    /// The type of the declared param that an axis names.
    fn declared(&self, axis: &str) -> Option<&'static str> {
        let rules = self.params.iter().find(|param| param.shown.name == axis)?.rules.as_ref()?;
        Some(rules.0.name())
    }

    /// One value, checked by the param's declaration if there is one.
    fn value(&mut self, axis: &str, node: &Node) -> Option<AxisValue> {
        let rules = self.params.iter().find(|param| param.shown.name == axis);
        let rules = rules.and_then(|param| param.rules.clone());
        let typed = match &rules {
            Some(rules) => Typed::of_node(rules.0, node).and_then(|typed| rules.1.check(typed)),
            None => match &node.value {
                Value::Broken => return None,
                Value::Bool(value) => Ok(Typed::Bool(*value)),
                Value::Int(value) => i64::try_from(*value)
                    .map(Typed::Int)
                    .map_err(|_| "the number is too large".to_owned()),
                Value::Float(value) => Ok(Typed::Float(*value)),
                Value::Text(text) => Ok(Typed::Text(text.clone(), None)),
                Value::Null | Value::List(_) | Value::Map(_) => {
                    Err(format!("a value can't be {}", node.describe()))
                }
            },
        };
        match typed {
            Ok(typed) => Some(AxisValue {
                text: node.text().unwrap_or_default(),
                typed,
                span: node.at.span,
                from_plan: node.origin.is_none(),
            }),
            Err(reason) => {
                let help =
                    rules.map_or("text, numbers and booleans".to_owned(), |it| it.1.describe(it.0));
                let span = super::bind::point(self.sources, node);
                let mut diagnostic =
                    Diagnostic::error(Code::Matrix, format!("the axis `{axis}`: {reason}"))
                        .at(self.sources.location(span))
                        .help(format!("it takes {help}"));
                if let Some(origin) = &node.origin {
                    diagnostic = diagnostic.help(&*origin.help);
                }
                self.found.push(diagnostic);
                None
            }
        }
    }

    /// Takes out the cells that an item of `exclude` describes.
    fn exclude(&mut self, section: Option<&Node>, axes: &[Axis], cells: &mut Vec<Combination>) {
        for item in self.listed("exclude", section) {
            let Some(wanted) = self.picked("exclude", item, axes) else { continue };
            let before = cells.len();
            cells.retain(|cell| {
                !wanted.iter().all(|(axis, value)| cell.values[*axis].1.typed == value.typed)
            });
            if cells.len() == before && !wanted.is_empty() {
                let span = super::bind::point(self.sources, item);
                let message = "this takes out no cell of the matrix".to_owned();
                self.error(
                    span,
                    message,
                    "each value must be one of its axis; remove it otherwise",
                );
            }
        }
    }

    /// Adds the cells that `include` writes out.
    fn include(&mut self, section: Option<&Node>, axes: &[Axis], cells: &mut Vec<Combination>) {
        for item in self.listed("include", section) {
            let Some(wanted) = self.picked("include", item, axes) else { continue };
            let span = super::bind::point(self.sources, item);
            let missing: Vec<&str> = (0..axes.len())
                .filter(|axis| !wanted.iter().any(|(other, _)| other == axis))
                .map(|axis| axes[axis].name.as_str())
                .collect();
            if !missing.is_empty() {
                let message = format!("a cell needs a value for `{}`", missing.join("`, `"));
                self.error(span, message, "an item of `include` is one cell: give every axis");
                continue;
            }
            let values: Vec<_> = (0..axes.len())
                .filter_map(|axis| {
                    let (_, value) = wanted.iter().find(|(other, _)| *other == axis)?;
                    Some((Arc::from(axes[axis].name.as_str()), Arc::new(value.clone())))
                })
                .collect();
            let cell = Combination { id: id(&values), number: 0, values };
            if cells.iter().any(|other| other.id == cell.id) {
                let message = format!("the cell `{}` is in the matrix already", cell.id);
                self.error(span, message, "remove it");
            } else if cells.len() == MAX_CELLS {
                let message = format!("the matrix has more than {MAX_CELLS} cells");
                self.error(span, message, "shorten an axis, or split the plan");
            } else {
                cells.push(cell);
            }
        }
    }

    fn listed<'n>(&mut self, key: &str, section: Option<&'n Node>) -> &'n [Node] {
        let Some(section) = section else { return &[] };
        if !matches!(section.value, Value::List(_) | Value::Null | Value::Broken) {
            let message = format!("`{key}` is a list of maps, not {}", section.describe());
            let span = super::bind::point(self.sources, section);
            self.error(span, message, &format!("write `{key}: [{{ docs: 8 }}]`"));
        }
        section.items()
    }

    /// The axes that an item names, by number, with the values it gives them.
    fn picked(&mut self, key: &str, item: &Node, axes: &[Axis]) -> Option<Vec<(usize, AxisValue)>> {
        let span = super::bind::point(self.sources, item);
        if item.entries().is_empty() {
            let message = format!("an item of `{key}` is a map of axes, not {}", item.describe());
            self.error(span, message, &format!("write `{key}: [{{ docs: 8 }}]`"));
            return None;
        }
        let before = self.found.len();
        let mut picked = Vec::new();
        for entry in item.entries() {
            if let Some(axis) = axes.iter().position(|axis| axis.name == entry.key) {
                picked.extend(self.value(&entry.key, &entry.node).map(|value| (axis, value)));
            } else {
                let names = || axes.iter().map(|axis| axis.name.as_str());
                self.found.push(
                    Diagnostic::error(
                        Code::Matrix,
                        format!("`{}` is no axis of this matrix", entry.key),
                    )
                    .label(
                        self.sources.location(entry.key_span),
                        suggest::did_you_mean(&entry.key, names()),
                    )
                    .help(format!("axes: {}", suggest::list(names()))),
                );
            }
        }
        (self.found.len() == before).then_some(picked)
    }

    fn error(&mut self, span: Span, message: String, help: &str) {
        let place = self.sources.location(span);
        self.found.push(Diagnostic::error(Code::Matrix, message).at(place).help(help));
    }
}

/// Every combination, the last axis fastest.
fn product(axes: &[Axis]) -> Vec<Combination> {
    let names: Vec<Arc<str>> = axes.iter().map(|axis| Arc::from(axis.name.as_str())).collect();
    let size = axes.iter().map(|axis| axis.values.len()).product();
    (0..size)
        .map(|number: usize| {
            let mut rest = number;
            let mut values: Vec<_> = axes
                .iter()
                .zip(&names)
                .rev()
                .map(|(axis, name)| {
                    let value = &axis.values[rest % axis.values.len()];
                    rest /= axis.values.len();
                    (Arc::clone(name), Arc::clone(value))
                })
                .collect();
            values.reverse();
            Combination { id: id(&values), number: 0, values }
        })
        .collect()
}

fn id(values: &[(Arc<str>, Arc<AxisValue>)]) -> String {
    let parts: Vec<String> =
        values.iter().map(|(name, value)| format!("{name}={}", value.text)).collect();
    parts.join(",")
}

/// A number as a value: whole when it is.
#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
fn number_value(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 9e15 {
        Value::Int(number as i128)
    } else {
        Value::Float(number)
    }
}
