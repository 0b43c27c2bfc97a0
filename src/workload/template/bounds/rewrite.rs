//! A template's text, rewritten so that what its operators make is weighed.
//!
//! In: the text. Out: the same with calls of the bounds in it. Invariant: it says the same, and every part of
//! it stays on its line.

use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, Stmt};
use minijinja::machinery::{Span, parse};
use minijinja::syntax::SyntaxConfig;

/// The filter that passes a value which fits.
pub(super) const FITS: &str = "fits__";
/// The function that multiplies.
pub(super) const TIMES: &str = "times__";

/// Before and behind what must fit, and before what is multiplied.
const FITTING: &str = "((";
const FITTED: &str = ")|fits__)";
const MULTIPLIED: &str = "times__(";

/// What a template says, bounded.
pub(in crate::workload::template) struct Bounded {
    /// Its text.
    pub text: String,
    /// The longest text of its own that a loop or macro may say again.
    pub longest_repeated: usize,
}

/// Rewrites a template; one that is none stays, for the compiler to say why.
pub(in crate::workload::template) fn bounded(text: &str, syntax: SyntaxConfig) -> Bounded {
    let mut edits = Edits { text, made: Vec::new(), repeats: 0, longest_repeated: 0 };
    if ["{{", "{%"].iter().any(|mark| text.contains(mark))
        && let Ok(template) = parse(text, "template", syntax)
    {
        edits.statement(&template);
    }
    Bounded { text: edits.applied(), longest_repeated: edits.longest_repeated }
}

/// Changes to a text, in the order in which those at one place are made.
struct Edits<'t> {
    text: &'t str,
    /// Where, how many bytes are taken out, and what is put there.
    made: Vec<(usize, usize, &'static str)>,
    /// Loops and macros around.
    repeats: usize,
    longest_repeated: usize,
}

impl Edits<'_> {
    fn applied(&mut self) -> String {
        self.made.sort_by_key(|(at, ..)| *at);
        let (mut out, mut from) = (String::with_capacity(self.text.len()), 0);
        for (at, taken, put) in &self.made {
            out.push_str(&self.text[from..*at]);
            out.push_str(put);
            from = at + taken;
        }
        out.push_str(&self.text[from..]);
        out
    }

    fn put(&mut self, at: u32, taken: usize, put: &'static str) {
        self.made.push((at as usize, taken, put));
    }

    fn statements(&mut self, statements: &[Stmt<'_>]) {
        for statement in statements {
            self.statement(statement);
        }
    }

    fn repeated(&mut self, statements: &[Stmt<'_>]) {
        self.repeats += 1;
        self.statements(statements);
        self.repeats -= 1;
    }

    fn statement(&mut self, statement: &Stmt<'_>) {
        match statement {
            Stmt::Template(it) => self.statements(&it.children),
            Stmt::EmitExpr(it) => self.expression(&it.expr),
            Stmt::EmitRaw(it) if self.repeats > 0 => {
                self.longest_repeated = self.longest_repeated.max(it.raw.len());
            }
            Stmt::ForLoop(it) => {
                self.expression(&it.iter);
                self.expressions(&it.filter_expr);
                self.repeated(&it.body);
                self.repeated(&it.else_body);
            }
            Stmt::IfCond(it) => {
                self.expression(&it.expr);
                self.statements(&it.true_body);
                self.statements(&it.false_body);
            }
            Stmt::WithBlock(it) => {
                for (_, value) in &it.assignments {
                    self.expression(value);
                }
                self.statements(&it.body);
            }
            Stmt::Set(it) => {
                let target = it.target.span().end_offset as usize;
                let equals = self.text[target..].find('=').map(|at| target + at + 1);
                if let Some(at) = equals.and_then(|at| u32::try_from(at).ok()) {
                    self.put(at, 0, FITTING);
                }
                self.expression(&it.expr);
                if equals.is_some() {
                    self.put(it.span().end_offset, 0, FITTED);
                }
            }
            Stmt::SetBlock(it) => {
                self.expressions(&it.filter);
                self.statements(&it.body);
            }
            Stmt::AutoEscape(it) => self.statements(&it.body),
            Stmt::FilterBlock(it) => {
                self.expression(&it.filter);
                self.statements(&it.body);
            }
            Stmt::Block(it) => self.repeated(&it.body),
            Stmt::Macro(it) => {
                self.expressions(&it.defaults);
                self.repeated(&it.body);
            }
            Stmt::CallBlock(it) => {
                self.arguments(&it.call.args);
                self.repeated(&it.macro_decl.body);
            }
            Stmt::Do(it) => self.arguments(&it.call.args),
            // Nothing can be included or imported.
            Stmt::EmitRaw(_)
            | Stmt::Import(_)
            | Stmt::FromImport(_)
            | Stmt::Extends(_)
            | Stmt::Include(_) => {}
        }
    }

    fn expressions<'e>(&mut self, all: impl IntoIterator<Item = &'e Expr<'e>>) {
        for one in all {
            self.expression(one);
        }
    }

    fn arguments(&mut self, args: &[CallArg<'_>]) {
        for arg in args {
            match arg {
                CallArg::Pos(it)
                | CallArg::Kwarg(_, it)
                | CallArg::PosSplat(it)
                | CallArg::KwargSplat(it) => self.expression(it),
            }
        }
    }

    fn expression(&mut self, expression: &Expr<'_>) {
        match expression {
            Expr::Var(_) | Expr::Const(_) => {}
            Expr::Slice(it) => {
                self.expression(&it.expr);
                self.expressions(it.start.iter().chain(&it.stop).chain(&it.step));
            }
            Expr::UnaryOp(it) => self.expression(&it.expr),
            Expr::BinOp(it) => {
                let span = it.span();
                let is_times = matches!(it.op, BinOpKind::Mul);
                let grows = is_times || matches!(it.op, BinOpKind::Add | BinOpKind::Concat);
                if grows {
                    self.put(span.start_offset, 0, if is_times { MULTIPLIED } else { FITTING });
                }
                self.expression(&it.left);
                if is_times {
                    let left = it.left.span().end_offset as usize;
                    let between = &self.text[left..];
                    let skipped =
                        between.find(|letter: char| !(letter.is_whitespace() || letter == ')'));
                    let at = u32::try_from(left + skipped.unwrap_or(0)).unwrap_or(u32::MAX);
                    self.put(at, 1, ",");
                }
                self.expression(&it.right);
                if grows {
                    self.put(span.end_offset, 0, if is_times { ")" } else { FITTED });
                }
            }
            Expr::Compare(it) => {
                self.expression(&it.expr);
                self.expressions(it.ops.iter().map(|op| &op.expr));
            }
            Expr::IfExpr(it) => {
                // Written first.
                self.expression(&it.true_expr);
                self.expression(&it.test_expr);
                self.expressions(&it.false_expr);
            }
            Expr::Filter(it) => {
                self.expressions(&it.expr);
                self.arguments(&it.args);
            }
            Expr::Test(it) => {
                self.expression(&it.expr);
                self.arguments(&it.args);
            }
            Expr::GetAttr(it) => self.expression(&it.expr),
            Expr::GetItem(it) => {
                self.expression(&it.expr);
                self.expression(&it.subscript_expr);
            }
            Expr::Call(it) => {
                self.expression(&it.expr);
                self.arguments(&it.args);
            }
            Expr::List(it) => self.literal(it.span(), &it.items),
            Expr::Tuple(it) => self.literal(it.span(), &it.items),
            Expr::Map(it) => {
                let items = it.keys.iter().zip(&it.values);
                self.literal(it.span(), items.flat_map(|(key, value)| [key, value]));
            }
        }
    }

    /// A list or map that is written out.
    fn literal<'e>(&mut self, span: Span, items: impl IntoIterator<Item = &'e Expr<'e>>) {
        self.put(span.start_offset, 0, FITTING);
        self.expressions(items);
        self.put(span.end_offset, 0, FITTED);
    }
}
