//! The written form of `params:`.
//!
//! In: a bound tree. Out: declarations whose values are still nodes, since their type is known only
//! here.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::plan::bind::{NodeRef, Spanned};

/// A value that may be set from outside.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Param")]
pub(crate) struct ParamFile {
    /// The type of its values.
    #[serde(rename = "type")]
    pub(crate) kind: Spanned<ParamType>,
    /// The value if none is given from outside. Without a default, one must be given.
    pub(crate) default: Option<Spanned<NodeRef>>,
    /// Smallest value allowed (int, float, duration, size).
    pub(crate) min: Option<Spanned<NodeRef>>,
    /// Largest value allowed (int, float, duration, size).
    pub(crate) max: Option<Spanned<NodeRef>>,
    /// The only values allowed.
    pub(crate) choices: Option<Spanned<Vec<Spanned<NodeRef>>>>,
    /// Regular expression that the whole value must match.
    pub(crate) pattern: Option<Spanned<String>>,
    /// Environment variables to take the value from, the first that is set and not empty.
    pub(crate) env: Option<TextOrList>,
    /// What it is for; shown by `runner params`.
    pub(crate) description: Option<String>,
    /// Whether to hide the value everywhere.
    #[serde(default)]
    pub(crate) secret: bool,
}

/// One text, or a list of them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename = "by shape", rename_all = "lowercase")]
#[schemars(rename = "TextOrList", untagged)]
pub(crate) enum TextOrList {
    /// One.
    Text(Spanned<String>),
    /// Several.
    List(Vec<Spanned<String>>),
}

impl TextOrList {
    /// The texts in order.
    pub(crate) fn texts(&self) -> &[Spanned<String>] {
        match self {
            Self::Text(text) => std::slice::from_ref(text),
            Self::List(texts) => texts,
        }
    }
}

/// The types of params.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ParamType {
    /// Any text.
    String,
    /// A whole number, such as `10k`.
    Int,
    /// A number.
    Float,
    /// `true` or `false`.
    Bool,
    /// A duration with its unit, such as `30s`.
    Duration,
    /// A size, such as `4KiB`.
    Size,
    /// An http or https URL.
    Url,
    /// A file. A path given from outside is relative to the current directory; a path in the plan
    /// is relative to the plan's file.
    Path,
    /// Texts: a list, or `a,b,c`.
    List,
    /// Numbers, such as `1,2,4-32*2`.
    Series,
}

impl ParamType {
    /// Whether its values have a smallest and a largest.
    pub(crate) fn is_ordered(self) -> bool {
        matches!(self, Self::Int | Self::Float | Self::Duration | Self::Size)
    }

    /// The plan's word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Duration => "duration",
            Self::Size => "size",
            Self::Url => "url",
            Self::Path => "path",
            Self::List => "list",
            Self::Series => "series",
        }
    }
}
