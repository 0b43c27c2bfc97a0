//! The steps between a text and a plan, in order.
//!
//! In: a plan's text and the command line. Out: a [`Plan`], and all that was found on the way.
//! Invariant: each cell of a matrix goes through the same steps as a plan without one, on a copy of
//! the same tree; what all cells have to say is said once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::bind::bind;
use super::super::compose::{Composer, defaults, path};
use super::super::diagnostic::{Code, Diagnostic};
use super::super::file::PlanFile;
use super::super::interpolate::{Notes, Scope};
use super::super::lower::{Identity, Lowering};
use super::super::matrix::{self, Combination, Layout};
use super::super::params::{self, Resolved, Resolver};
use super::super::source::{self, Entry, Node, Sources, Span, Value};
use super::super::{Action, Cell, Plan, Redactor, Stage, select};
use super::cells::{Heard, Selection, show_axes, take_values};
use super::{LoadOptions, hash, root_of};

/// The name that `--set` has in diagnostics.
const SET: &str = "--set";
/// So many errors are enough to stop looking into further cells.
const ENOUGH: usize = 20;

/// What a loading knows.
pub(super) struct Loading<'l> {
    options: &'l LoadOptions,
    pub(super) sources: Sources,
    pub(super) redactor: Redactor,
    pub(super) found: Vec<Diagnostic>,
    /// What filling in references has noted.
    notes: Notes,
}

/// What every cell starts from.
struct Base<'b> {
    name: &'b str,
    tree: &'b Node,
    params: &'b [Resolved],
    root: PathBuf,
    hash: String,
}

impl<'l> Loading<'l> {
    pub(super) fn new(options: &'l LoadOptions) -> Self {
        Self {
            options,
            sources: Sources::default(),
            redactor: Redactor::default(),
            found: Vec::new(),
            notes: Notes::default(),
        }
    }

    pub(super) fn run(&mut self, name: &str, text: &str) -> Option<Plan> {
        let folder = Path::new(name).parent().map(Path::to_path_buf).unwrap_or_default();
        let root = root_of(&folder);
        let mut tree = Composer {
            sources: &mut self.sources,
            found: &mut self.found,
            root: &root,
            allow_outside_root: self.options.allow_outside_root,
        }
        .plan(name, text)?;
        self.set(&mut tree);
        tree.number(0);

        let files = params::read_files(&self.options.params_files, &mut self.found);
        let axes = matrix::axes(&tree);
        let params = Resolver {
            sources: &self.sources,
            options: self.options,
            redactor: &mut self.redactor,
            found: &mut self.found,
            files: &files,
            axes: &axes,
            listed: Vec::new(),
        }
        .resolve(&tree);

        let cells = match tree.take("matrix") {
            Some(section) if !matches!(section.node.value, Value::Null) => {
                Some(self.cells(section, &params)?)
            }
            _ => {
                self.no_matrix();
                None
            }
        };
        let interleave = cells.as_ref().is_some_and(|(_, interleave)| *interleave);
        let cells = cells.map(|(cells, _)| cells);
        let hash = hash(&self.sources);
        let base = Base { name, tree: &tree, params: &params, root, hash };
        let mut plan = self.plan(&base, cells.as_deref());
        if let (Some(plan), Some(cells)) = (&mut plan, &cells) {
            show_axes(&mut plan.params, &params, cells);
            plan.interleave = interleave;
            self.found.extend(out_of_turn(plan));
            plan.resolved = self.shown(base.tree);
        }
        self.unused(&params, cells.as_deref());
        plan
    }

    /// `--set PATH=VALUE`: one text, a line for each, so that diagnostics can point into it.
    fn set(&mut self, tree: &mut Node) {
        if self.options.set.is_empty() {
            return;
        }
        let lines: Vec<String> =
            self.options.set.iter().map(|it| it.replace(['\n', '\r'], " ")).collect();
        let source = self.sources.add(SET, &lines.join("\n"));
        let mut start = 0;
        for line in &lines {
            let span = Span::new(source, start, start + line.len());
            start += line.len() + 1;
            let Some((path, value)) = line.split_once('=').filter(|(path, _)| !path.is_empty())
            else {
                self.found.push(
                    Diagnostic::error(Code::Set, "this is no PATH=VALUE")
                        .at(self.sources.location(span))
                        .help("write `--set stages.cold.requests=8`"),
                );
                continue;
            };
            let value_span = span.part(path.len() + 1, value.len());
            let node = source::value(&self.sources, value_span, value);
            let path_span = span.part(0, path.len());
            let first = path.split('.').next().unwrap_or(path);
            if let Some(problem) = set_in_vain(first) {
                let place = self.sources.location(path_span.part(0, first.len()));
                self.found.push(problem.at(place));
                continue;
            }
            if let Err(problem) = path::set(tree, path, path_span, node, &self.sources) {
                self.found.push(problem);
            }
        }
    }

    /// `--matrix` and `--shard` of a plan without a matrix.
    fn no_matrix(&mut self) {
        let flags = [
            self.options.matrix.first().map(|(axis, value)| format!("--matrix {axis}={value}")),
            self.options.shard.map(|(shard, of)| format!("--shard {shard}/{of}")),
        ];
        for flag in flags.into_iter().flatten() {
            self.found.push(
                Diagnostic::error(Code::Selection, format!("{flag}: the plan has no matrix"))
                    .help("leave the flag out, or add `matrix: { param: [value, value] }`"),
            );
        }
    }

    /// The cells of the matrix that are wanted, and whether they take turns.
    fn cells(
        &mut self,
        mut section: Entry,
        params: &[Resolved],
    ) -> Option<(Vec<Combination>, bool)> {
        // Axes without a declaration are params all the same.
        let mut known = params.to_vec();
        for entry in section.node.entries() {
            if !params.iter().any(|param| param.shown.name == entry.key) {
                known.push(params::axis(&entry.key, entry.key_span));
            }
        }
        let mut scope = Scope {
            sources: &self.sources,
            options: self.options,
            params: &known,
            plan_name: None,
            redactor: &mut self.redactor,
            found: &mut self.found,
            notes: &mut self.notes,
        };
        scope.fill_section("matrix", &mut section.node);
        let mut layout = Layout {
            sources: &self.sources,
            params,
            options: self.options,
            found: &mut self.found,
        };
        let before = layout.found.len();
        let interleave = layout.interleave(&section);
        let is_good = layout.found.len() == before;
        let cells = layout.cells(&section)?;
        is_good.then_some((cells, interleave))
    }

    /// One plan out of every cell.
    fn plan(&mut self, base: &Base<'_>, cells: Option<&[Combination]>) -> Option<Plan> {
        let Some(cells) = cells else {
            let mut selection = Selection::default();
            let plan = self.cell(base, None, &mut selection);
            selection.judge(self.options, &mut self.found);
            return plan;
        };
        let before = std::mem::take(&mut self.found);
        let mut selection = Selection::default();
        let mut heard = Heard::default();
        let mut whole: Option<Plan> = None;
        let mut is_broken = false;
        for combination in cells {
            let plan = self.cell(base, Some(combination), &mut selection);
            is_broken |= plan.is_none();
            heard.of(&combination.id, std::mem::take(&mut self.found));
            match (&mut whole, plan) {
                (Some(whole), Some(mut plan)) => {
                    whole.stages.append(&mut plan.stages);
                    whole.cells.append(&mut plan.cells);
                }
                (None, plan) => whole = plan,
                (Some(_), None) => {}
            }
            if heard.errors() >= ENOUGH {
                break;
            }
        }
        self.found = before;
        self.found.extend(heard.told());
        selection.judge(self.options, &mut self.found);
        whole.filter(|_| !is_broken)
    }

    /// One cell, or the whole of a plan without a matrix.
    fn cell(
        &mut self,
        base: &Base<'_>,
        combination: Option<&Combination>,
        selection: &mut Selection,
    ) -> Option<Plan> {
        let mut tree = base.tree.clone();
        let mut params = base.params.to_vec();
        let cell = combination.map(|combination| {
            let shown = take_values(&mut params, combination);
            Arc::new(Cell { id: combination.id.clone(), number: combination.number, params: shown })
        });
        let plan_name = self.interpolate(&mut tree, &params, base.name);
        defaults::defaults(&mut tree, &self.sources, &mut self.found);
        defaults::prompts(&mut tree, &self.sources, &mut self.found);
        tree.number(0);
        let mut bound = bind::<PlanFile>(&tree, &self.sources);
        self.found.append(&mut bound.diagnostics);
        let identity = Identity {
            name: plan_name,
            hash: base.hash.clone(),
            params: params.into_iter().map(|param| param.shown).collect(),
            path: PathBuf::from(base.name),
        };
        let mut plan = Lowering {
            sources: &self.sources,
            options: self.options,
            redactor: &mut self.redactor,
            found: &mut self.found,
            tree: &tree,
            bad: &bound.bad,
            root: base.root.clone(),
            cell,
        }
        .plan(bound.value?, identity)?;
        if combination.is_none() {
            plan.resolved = self.shown(&tree);
        }
        selection.knows(&plan);
        plan.stages = select::apply(
            std::mem::take(&mut plan.stages),
            self.options,
            &mut selection.matched,
            &mut self.found,
        );
        selection.is_empty &= plan.stages.is_empty();
        Some(plan)
    }

    /// A tree as a document without secrets.
    fn shown(&self, tree: &Node) -> serde_json::Value {
        tree.json(&|text| self.redactor.redact(text).into_owned())
    }

    /// Fills in references, the plan's name first; returns the name.
    fn interpolate(&mut self, tree: &mut Node, params: &[Resolved], file: &str) -> String {
        let mut scope = Scope {
            sources: &self.sources,
            options: self.options,
            params,
            plan_name: None,
            redactor: &mut self.redactor,
            found: &mut self.found,
            notes: &mut self.notes,
        };
        let stem = Path::new(file).file_stem().and_then(|stem| stem.to_str()).unwrap_or("plan");
        let mut name = stem.to_owned();
        if let Some(node) = tree.get_mut("name")
            && let Some(text) = node.text()
        {
            scope.leaf(node, text, &["name".to_owned()]);
            name = node.text().unwrap_or(name);
            // Done: `${` in it now would be a value, not a reference.
            let filled = std::mem::replace(&mut node.value, Value::Null);
            scope.plan_name = Some(name.clone());
            scope.fill(tree);
            if let Some(node) = tree.get_mut("name") {
                node.value = filled;
            }
        } else {
            scope.plan_name = Some(name.clone());
            scope.fill(tree);
        }
        name
    }

    /// Params and axes that nothing refers to.
    fn unused(&mut self, params: &[Resolved], cells: Option<&[Combination]>) {
        let first = cells.and_then(<[Combination]>::first).into_iter().flat_map(|it| &it.values);
        let axes = first.map(|(name, value)| {
            let message =
                format!("the axis `{name}` is never used: it makes cells that are all alike");
            (name.to_string(), value.span, message)
        });
        let declared = params.iter().filter(|param| param.value.is_some()).map(|param| {
            let name = param.shown.name.clone();
            let message = format!("param `{name}` is declared but never used");
            (name, param.span, message)
        });
        for (name, span, message) in declared.chain(axes) {
            if !self.notes.used.contains(&name) {
                self.found.push(
                    Diagnostic::warning(Code::ParamUnused, message)
                        .at(self.sources.location(span))
                        .help(format!("use it as `${{{name}}}`, or remove it")),
                );
            }
        }
    }
}

/// Stages that `interleave` leaves one after the other: warm ones and cold ones alone take turns.
fn out_of_turn(plan: &Plan) -> Option<Diagnostic> {
    let is_alone = |stage: &&Stage| {
        let kind = &stage.action;
        kind.prompt().is_some() && !matches!(kind, Action::Cold(_) | Action::Warm(_))
    };
    let stage = plan.stages.iter().find(is_alone).filter(|_| plan.interleave)?;
    let message = format!(
        "`interleave` lets the cells of `cold` and `warm` stages take turns; those of `{}`, of kind \
         `{}`, run one after the other",
        stage.id,
        stage.action.kind()
    );
    let help = "what drifts meanwhile counts as a difference: compare several runs (`runner compare A B C D`), \
                or ask the same prompts in `cold` stages";
    Some(Diagnostic::warning(Code::Matrix, message).at(stage.location.clone()).help(help))
}

/// What to say of a key that `--set` would change in vain: by then the files of the plan have been
/// put together, and nothing reads a note.
fn set_in_vain(key: &str) -> Option<Diagnostic> {
    if ["extends", "include", "without"].contains(&key) {
        let message = format!("`{key}` is read before `--set`");
        let help = "write a plan of your own that extends this one, and run that";
        return Some(Diagnostic::error(Code::Set, message).help(help));
    }
    key.starts_with("x-").then(|| {
        Diagnostic::error(
            Code::Set,
            format!("nothing reads `{key}`, so setting it changes nothing"),
        )
        .help("set the values themselves, such as `stages.cold.requests=8`")
    })
}
