//! What templates can call.
//!
//! In: the key of one request (seed, stage key, index), a tokenizer, the plan's folder. Out:
//! `filler`, `random_text`, `read`, `truncate`, `uuid` and `rng`. Invariant: whatever is drawn comes
//! from one stream of the request's own, in the order in which its templates ask.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Kwargs, Object, Rest, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Environment, Error, ErrorKind, State, Value};
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;

use super::bounds;
use crate::plan::FileAccess;
use crate::workload::filler::filler;
use crate::workload::seed::keyed_rng;
use crate::workload::tokenizer::Tokenizer;

/// Most tokens that one call may make.
const MOST_TOKENS: u64 = 4_000_000;

/// Most bytes of a file that a template may read.
const MOST_FILE_BYTES: u64 = 32 << 20;

/// Adds what does not depend on the request.
pub(super) fn add(
    environment: &mut Environment<'static>,
    files: &FileAccess,
    tokenizer: &Tokenizer,
) {
    let reader = Reader { files: files.clone(), known: Mutex::default() };
    environment.add_function("read", move |given: Given| {
        let (name,): (String,) = from_args(&in_order(&given.into_values(), &["file"])?)?;
        reader.read(&name)
    });
    let counter = tokenizer.clone();
    let cut = move |given: Given| {
        let given = in_order(&given.into_values(), &["text", "tokens"])?;
        let (text, tokens): (Cow<'_, str>, u64) = from_args(&given)?;
        bounds::charge(text.len())?;
        Ok::<_, Error>(counter.truncate(&text, tokens))
    };
    environment.add_filter("truncate", cut.clone());
    environment.add_function("truncate", cut);
}

/// The functions of one request.
pub(crate) struct Functions {
    stream: Stream,
    seed: u64,
    tokenizer: Tokenizer,
}

type Stream = Arc<Mutex<ChaCha8Rng>>;

impl Functions {
    /// Those of the request with this index in the stage with this key.
    pub(crate) fn new(seed: u64, key: &str, index: u64, tokenizer: &Tokenizer) -> Self {
        let stream = keyed_rng(seed, &format!("template {key}"), index);
        Self { stream: Arc::new(Mutex::new(stream)), seed, tokenizer: tokenizer.clone() }
    }

    /// As values by name.
    pub(super) fn values(&self) -> Value {
        let (stream, tokenizer, seed) = (self.stream.clone(), self.tokenizer.clone(), self.seed);
        let filler_of = move |given: Given| {
            let given = in_order(&given.into_values(), &["tokens", "number"])?;
            let (tokens, number): (u64, Option<u64>) = from_args(&given)?;
            let tokens = bounded(tokens)?;
            Ok::<_, Error>(match number {
                // The same number is the same text in every request.
                Some(number) => filler(seed ^ 0x7465_6d70, number, tokens, &tokenizer),
                None => filler(drawn(&stream), 0, tokens, &tokenizer),
            })
        };
        let (stream, tokenizer) = (self.stream.clone(), self.tokenizer.clone());
        let random_text = move |given: Given| {
            let (tokens,): (u64,) = from_args(&in_order(&given.into_values(), &["tokens"])?)?;
            let tokens = bounded(tokens)?;
            Ok::<_, Error>(letters(&stream, tokens, &tokenizer))
        };
        let stream = self.stream.clone();
        let uuid = move || uuid(&stream);
        minijinja::context! {
            filler => Value::from_function(filler_of),
            random_text => Value::from_function(random_text),
            uuid => Value::from_function(uuid),
            rng => Value::from_object(Dice(self.stream.clone())),
        }
    }
}

fn with<T>(stream: &Stream, draw: impl FnOnce(&mut ChaCha8Rng) -> T) -> T {
    draw(&mut stream.lock().unwrap_or_else(PoisonError::into_inner))
}

fn drawn(stream: &Stream) -> u64 {
    with(stream, Rng::next_u64)
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// What a call gives: values in order, and then by name.
type Given = Rest<ValueOrKwargs>;

/// The arguments of a call in the order of `names`, however they were given. One that is left out at
/// the end is left to the function: it may have a default.
fn in_order(given: &[Value], names: &[&str]) -> Result<Vec<Value>, Error> {
    let (given, options): (&[Value], Kwargs) = from_args(given)?;
    let mut values = given.to_vec();
    for name in options.args() {
        let Some(position) = names.iter().position(|known| *known == name) else {
            let known = names.join(", ");
            return Err(wrong(format!("there is no argument `{name}`; it takes {known}")));
        };
        if position < given.len() {
            return Err(wrong(format!("the argument `{name}` is given twice")));
        }
        if values.len() <= position {
            values.resize(position + 1, Value::UNDEFINED);
        }
        values[position] = options.peek(name)?;
    }
    if let Some(position) = values.iter().position(Value::is_undefined) {
        let name = names.get(position).copied().unwrap_or_default();
        return Err(wrong(format!("the argument `{name}` is missing or undefined")));
    }
    Ok(values)
}

fn bounded(tokens: u64) -> Result<u64, Error> {
    if tokens > MOST_TOKENS {
        return Err(wrong(format!("at most {MOST_TOKENS} tokens at a time")));
    }
    // Some four letters each.
    bounds::charge(usize::try_from(tokens * 4).unwrap_or(usize::MAX))?;
    Ok(tokens)
}

/// Words of random letters: nothing that any cache or any model knows.
fn letters(stream: &Stream, tokens: u64, tokenizer: &Tokenizer) -> String {
    let mut text = String::new();
    let mut want = tokens.saturating_mul(4).saturating_add(16);
    while tokens > 0 && tokenizer.count(&text) < tokens {
        with(stream, |rng| {
            while (text.len() as u64) < want {
                for _ in 0..rng.random_range(3..10) {
                    text.push(char::from(rng.random_range(b'a'..=b'z')));
                }
                text.push(' ');
            }
        });
        want = want.saturating_mul(2);
    }
    tokenizer.truncate(&text, tokens)
}

/// A version 4 UUID out of the request's stream.
fn uuid(stream: &Stream) -> String {
    let high = drawn(stream) & !0xf000 | 0x4000;
    let low = drawn(stream) & !(0b11 << 62) | (0b10 << 62);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

/// `rng`: seeded draws.
#[derive(Debug)]
struct Dice(Stream);

impl Object for Dice {
    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        match method {
            "int" => {
                let (from, to): (i64, i64) = from_args(&in_order(args, &["from", "to"])?)?;
                if from > to {
                    return Err(wrong("rng.int(from, to) needs from <= to"));
                }
                Ok(Value::from(with(&self.0, |rng| rng.random_range(from..=to))))
            }
            "float" => {
                let (): () = from_args(args)?;
                Ok(Value::from(with(&self.0, |rng| rng.random_range(0.0..1.0))))
            }
            "choice" => {
                let (list,): (Value,) = from_args(&in_order(args, &["list"])?)?;
                let items: Vec<Value> = match list.kind() {
                    ValueKind::Seq | ValueKind::Iterable => list.try_iter()?.collect(),
                    _ => return Err(wrong("rng.choice(list) needs a list")),
                };
                if items.is_empty() {
                    return Err(wrong("rng.choice(list) needs a list that is not empty"));
                }
                let at = with(&self.0, |rng| rng.random_range(0..items.len()));
                Ok(items[at].clone())
            }
            _ => Err(Error::new(
                ErrorKind::UnknownMethod,
                "rng has int(from, to), float() and choice(list)",
            )),
        }
    }
}

/// `read(file)`: files below the plan's root, each read once.
struct Reader {
    files: FileAccess,
    known: Mutex<HashMap<PathBuf, Value>>,
}

impl Reader {
    fn read(&self, name: &str) -> Result<Value, Error> {
        let path = self.files.folder.join(name);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = known.get(&path) {
            return Ok(text.clone());
        }
        let text = Value::from(self.open(&path)?);
        known.insert(path, text.clone());
        Ok(text)
    }

    fn open(&self, path: &Path) -> Result<String, Error> {
        let refused = |why: &str| wrong(format!("read: {}: {why}", path.display()));
        // Links are followed first: a link may lead outside.
        let real = fs::canonicalize(path).map_err(|_| refused("there is no such file"))?;
        if let Some(root) = &self.files.root {
            let root = fs::canonicalize(root).map_err(|_| refused("the plan's root is gone"))?;
            if !real.starts_with(root) {
                return Err(refused("it lies outside the plan's root"));
            }
        }
        let meta = fs::metadata(&real).map_err(|_| refused("it can't be read"))?;
        if !meta.is_file() {
            return Err(refused("it is not a regular file"));
        }
        if meta.len() > MOST_FILE_BYTES {
            return Err(refused("it is too large"));
        }
        fs::read_to_string(&real).map_err(|_| refused("it is not UTF-8 text"))
    }
}
