//! Bounds on what a template makes in between.
//!
//! In: a template's text, and the values that its operators and filters are given. Out: the same text, in
//! which what can make a value larger goes through filters of ours; and an error once one rendering has made
//! too much. Invariant: the engine counts steps and our writer the result; every value in between is weighed
//! here before it can be used again, so that memory and time stay bounded whatever the template does.
//!
//! The engine has no hook on its operators and no limit of memory, and a process that is killed or a thread
//! that can't be stopped would not say which template was wrong: so the text is rewritten before it is
//! compiled, by the engine's own parser.

mod rewrite;

use std::cell::Cell;

use minijinja::value::{Rest, Tuple, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Value, filters};

pub(super) use rewrite::bounded;
use rewrite::{FITS, TIMES};

/// Bytes of texts and lists that one rendering may make in all.
const MOST_WORK: usize = 64 << 20;
/// What an item of a list costs beside its text.
const ITEM: usize = 64;
/// Most lists within lists.
const MOST_DEPTH: usize = 64;
/// Most columns of a table, spaces of an indent or digits of a number that a filter is asked for.
const MOST_WIDTH: usize = 10_000;

thread_local! {
    /// What is left to this thread's rendering.
    static LEFT: Cell<usize> = const { Cell::new(MOST_WORK) };
}

/// A rendering begins.
pub(super) fn begin() {
    LEFT.set(MOST_WORK);
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

fn too_much() -> Error {
    let most = MOST_WORK >> 20;
    wrong(format!("the template makes more than {most} MiB of texts and lists on its way"))
}

/// Takes `bytes` off what is left.
pub(super) fn charge(bytes: usize) -> Result<(), Error> {
    let left = LEFT.get().checked_sub(bytes).ok_or_else(too_much)?;
    LEFT.set(left);
    Ok(())
}

/// Charges for all that a value holds; gives how much that is.
pub(super) fn weigh(value: &Value) -> Result<usize, Error> {
    let before = LEFT.get();
    charge_for(value, 0)?;
    Ok(before - LEFT.get())
}

fn charge_for(value: &Value, depth: usize) -> Result<(), Error> {
    if depth > MOST_DEPTH {
        return Err(wrong(format!("lists stand within lists more than {MOST_DEPTH} deep")));
    }
    charge(value.as_str().map_or(ITEM, |text| text.len() + ITEM))?;
    if let ValueKind::Seq | ValueKind::Iterable | ValueKind::Map = value.kind() {
        for item in value.try_iter()? {
            charge_for(&item, depth + 1)?;
            if value.kind() == ValueKind::Map {
                charge_for(&value.get_item(&item)?, depth + 1)?;
            }
        }
    }
    Ok(())
}

/// `a * b`.
fn times(left: &Value, right: &Value) -> Result<Value, Error> {
    let is_many = |value: &Value| {
        value.as_str().is_some() || matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
    };
    let (many, count) = if is_many(right) { (right, left) } else { (left, right) };
    if is_many(many) {
        let count = count
            .as_usize()
            .ok_or_else(|| wrong("texts and lists are multiplied by whole numbers".to_owned()))?;
        charge(weigh(many)?.saturating_mul(count))?;
        if let Some(text) = many.as_str() {
            return Ok(Value::from(text.repeat(count)));
        }
        let items: Vec<Value> = many.try_iter()?.collect();
        let all: Vec<Value> = (0..count).flat_map(|_| items.iter().cloned()).collect();
        return Ok(if many.is_tuple() { Tuple::from(all).into() } else { all.into() });
    }
    let unfit = || {
        let kinds = (left.kind(), right.kind());
        wrong(format!("tried to use * operator on unsupported types {} and {}", kinds.0, kinds.1))
    };
    let is_whole = |value: &Value| value.is_integer() || value.kind() == ValueKind::Bool;
    if is_whole(left) && is_whole(right) {
        let whole = |value: &Value| i128::try_from(value.clone()).map_err(|_| unfit());
        let product = whole(left)?.checked_mul(whole(right)?);
        return product.map(number).ok_or_else(|| wrong("unable to calculate".to_owned()));
    }
    let float = |value: &Value| f64::try_from(value.clone()).map_err(|_| unfit());
    Ok(Value::from(float(left)? * float(right)?))
}

fn number(whole: i128) -> Value {
    i64::try_from(whole).map_or_else(|_| Value::from(whole), Value::from)
}

/// How much a filter may make of what it is given.
#[derive(Clone, Copy)]
enum Growth {
    /// About as much, or some times it where texts are escaped.
    Same,
    /// An item for each letter.
    Letters,
    /// An item for each piece between marks, or between blanks.
    Pieces,
    /// As many of the second argument as it has items.
    Join,
    /// The second argument for each of the first that is found.
    Replace,
    /// A number among its arguments is a width.
    Width,
}

/// Filters of the engine that make something larger than what they are given, or anything new.
fn growing() -> Vec<(&'static str, Growth, Value)> {
    use Growth::{Join, Letters, Pieces, Replace, Same, Width};
    vec![
        ("upper", Same, Value::from_function(filters::upper)),
        ("lower", Same, Value::from_function(filters::lower)),
        ("title", Same, Value::from_function(filters::title)),
        ("capitalize", Same, Value::from_function(filters::capitalize)),
        ("trim", Same, Value::from_function(filters::trim)),
        ("string", Same, Value::from_function(filters::string)),
        ("reverse", Letters, Value::from_function(filters::reverse)),
        ("escape", Same, Value::from_function(filters::escape)),
        ("e", Same, Value::from_function(filters::escape)),
        ("pprint", Same, Value::from_function(filters::pprint)),
        ("tojson", Width, Value::from_function(filters::tojson)),
        ("replace", Replace, Value::from_function(filters::replace)),
        ("join", Join, Value::from_function(filters::join)),
        ("indent", Width, Value::from_function(filters::indent)),
        ("format", Width, Value::from_function(filters::format)),
        ("batch", Width, Value::from_function(filters::batch)),
        ("slice", Width, Value::from_function(filters::slice)),
        ("round", Width, Value::from_function(filters::round)),
        ("list", Letters, Value::from_function(filters::list)),
        ("split", Pieces, Value::from_function(filters::split)),
        ("lines", Pieces, Value::from_function(filters::lines)),
        ("sort", Letters, Value::from_function(filters::sort)),
        ("unique", Letters, Value::from_function(filters::unique)),
        ("items", Same, Value::from_function(filters::items)),
        ("dictsort", Same, Value::from_function(filters::dictsort)),
        ("groupby", Same, Value::from_function(filters::groupby)),
        ("chain", Same, Value::from_function(filters::chain)),
        ("zip", Letters, Value::from_function(filters::zip)),
        ("map", Letters, Value::from_function(filters::map)),
        ("select", Letters, Value::from_function(filters::select)),
        ("reject", Letters, Value::from_function(filters::reject)),
        ("selectattr", Same, Value::from_function(filters::selectattr)),
        ("rejectattr", Same, Value::from_function(filters::rejectattr)),
        ("sum", Same, Value::from_function(filters::sum)),
        ("min", Same, Value::from_function(filters::min)),
        ("max", Same, Value::from_function(filters::max)),
    ]
}

/// Charges for what a filter will make.
fn charge_growth(growth: Growth, args: &[Value]) -> Result<(), Error> {
    let mut weights = Vec::with_capacity(args.len());
    for arg in args {
        weights.push(weigh(arg)?);
    }
    let text = |at: usize| args.get(at).and_then(Value::as_str);
    let (first, second) = (weights.first().copied().unwrap_or(0), weights.get(1).copied());
    match growth {
        Growth::Same => charge(first.saturating_mul(4)),
        Growth::Letters => charge(text(0).map_or(0, str::len).saturating_mul(ITEM)),
        Growth::Pieces => {
            let text = text(0).unwrap_or_default();
            let marks = match args.get(1).and_then(Value::as_str) {
                Some("") => text.len(),
                Some(mark) => text.matches(mark).count(),
                None => text.bytes().filter(u8::is_ascii_whitespace).count(),
            };
            charge(marks.saturating_mul(ITEM))
        }
        Growth::Join => {
            let items = args.first().map_or(0, |it| it.len().unwrap_or(first));
            charge(items.saturating_mul(second.unwrap_or(0)))
        }
        Growth::Replace => {
            let found = text(0).zip(text(1)).map_or(0, |(text, from)| text.matches(from).count());
            charge(found.saturating_mul(weights.get(2).copied().unwrap_or(0)))
        }
        Growth::Width => {
            let mut widest = 0;
            for arg in args.iter().skip(1) {
                widest = widest.max(number_in(arg)?);
            }
            // `%1000d` has its width in the text.
            let widest = widest.max(digits_in(text(0).unwrap_or_default()));
            if widest > MOST_WIDTH {
                return Err(wrong(format!("a filter is asked for more than {MOST_WIDTH} columns")));
            }
            let lines = text(0).map_or(first / ITEM, |text| text.matches('\n').count() + 1);
            let each = widest.saturating_mul(weights.get(2).copied().unwrap_or(1));
            charge(first.saturating_mul(4).saturating_add(lines.saturating_mul(each)))
        }
    }
}

/// The largest number that a filter is given, by place or by name.
fn number_in(arg: &Value) -> Result<usize, Error> {
    if arg.kind() != ValueKind::Map {
        return Ok(arg.as_usize().unwrap_or(0));
    }
    let mut widest = 0;
    for name in arg.try_iter()? {
        widest = widest.max(arg.get_item(&name)?.as_usize().unwrap_or(0));
    }
    Ok(widest)
}

/// The longest number behind a `%`.
fn digits_in(format: &str) -> usize {
    let widths = format.split('%').skip(1).flat_map(|spec| {
        spec.split(|letter: char| !letter.is_ascii_digit())
            .take(4)
            .map(|digits| if digits.len() > 6 { usize::MAX } else { digits.parse().unwrap_or(0) })
    });
    widths.max().unwrap_or(0)
}

/// Puts the bounds into an environment.
pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter(FITS, |value: Value| weigh(&value).map(|_| value));
    environment.add_function(TIMES, |left: Value, right: Value| times(&left, &right));
    for (name, growth, filter) in growing() {
        environment.add_filter(
            name,
            move |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
                let args = args.into_values();
                let has_width = growth_of(name, growth, &args);
                charge_growth(has_width, &args)?;
                filter.call(state, &args)
            },
        );
    }
    environment.set_formatter(|out, state, value| {
        weigh(value)?;
        minijinja::escape_formatter(out, state, value)
    });
}

/// Formats count widths in their first argument, and others have none there.
fn growth_of(name: &str, growth: Growth, args: &[Value]) -> Growth {
    let has_width = name == "format" || args.len() > 1;
    if matches!(growth, Growth::Width) && !has_width { Growth::Same } else { growth }
}
