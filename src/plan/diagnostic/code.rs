//! The codes of diagnostics.
//!
//! In: nothing. Out: a number that stays the same from version to version, so that people can
//! search for it and scripts can tell findings apart. Invariant: a code is never given a second
//! meaning.

use std::fmt;

/// Which rule a diagnostic is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// The plan's file can't be read.
    File,
    /// The text is not YAML or not TOML.
    Syntax,
    /// A key stands twice in one map.
    DuplicateKey,
    /// The plan is larger or deeper than any plan needs to be.
    Limit,
    /// A YAML tag.
    Tag,
    /// A file under `extends` or `include` that can't be used.
    Reuse,
    /// Two libraries declare the same name.
    Clash,
    /// Files that extend one another.
    FileCycle,
    /// `version` is missing or unknown.
    Version,
    /// No such key here.
    UnknownKey,
    /// A list where a number belongs, and the like.
    Type,
    /// A key that must be there.
    MissingKey,
    /// A value of the right type that says nothing sensible.
    Value,
    /// A word that is not among those allowed.
    Choice,
    /// Keys that can't stand together.
    Conflict,
    /// A param without a value.
    ParamMissing,
    /// A param's value breaks its declaration.
    ParamValue,
    /// A value for a param that the plan does not declare.
    ParamUndeclared,
    /// A param's declaration contradicts itself.
    ParamDeclaration,
    /// A param that nothing refers to.
    ParamUnused,
    /// A file of `--params-file` that can't be read.
    ParamFile,
    /// An axis or a cell of `matrix` that makes no sense.
    Matrix,
    /// `${name}` of something that does not exist.
    Reference,
    /// `${` that is not a reference.
    ReferenceSyntax,
    /// `${env:NAME}` of a variable that is not set.
    Environment,
    /// A secret outside `api_key` and `headers`, or one that is not set.
    Secret,
    /// `{{ }}` where no template runs.
    Template,
    /// A template that can't be compiled, or fails for the first row.
    TemplateFails,
    /// A stage's id is taken or malformed.
    StageId,
    /// `needs` names no stage, or its own.
    Needs,
    /// `like` names no earlier cold or warm stage.
    Like,
    /// Something a stage needs is given nowhere.
    Incomplete,
    /// No such endpoint profile.
    Profile,
    /// An endpoint's URL can't be used.
    Url,
    /// A credential written into the plan.
    Credential,
    /// A header that HTTP does not allow.
    Header,
    /// A file that the plan names can't be used.
    Path,
    /// Rows of a dataset that can't be read, or that say nothing.
    Dataset,
    /// A threshold that can't be read.
    Threshold,
    /// No such metric.
    Metric,
    /// An aggregate is missing, unknown or out of place.
    Aggregate,
    /// A threshold about a stage that can't answer it.
    ThresholdStage,
    /// A limit in the wrong unit.
    Unit,
    /// A baseline that is missing or can't answer.
    Baseline,
    /// A sink that can't be read.
    Sink,
    /// Stages that wait for one another.
    Cycle,
    /// `--select`, `--exclude`, `--matrix` or `--shard` that leaves nothing to run.
    Selection,
    /// `--set` of a place that the plan does not have.
    Set,
}

// A code that is not listed could not be explained.
const _: () = assert!(Code::ALL.len() == Code::Set as usize + 1);

impl Code {
    /// Every code, in the order of their numbers.
    pub const ALL: &[Self] = &[
        Self::File,
        Self::Syntax,
        Self::DuplicateKey,
        Self::Limit,
        Self::Tag,
        Self::Reuse,
        Self::Clash,
        Self::FileCycle,
        Self::Version,
        Self::UnknownKey,
        Self::Type,
        Self::MissingKey,
        Self::Value,
        Self::Choice,
        Self::Conflict,
        Self::ParamMissing,
        Self::ParamValue,
        Self::ParamUndeclared,
        Self::ParamDeclaration,
        Self::ParamUnused,
        Self::ParamFile,
        Self::Matrix,
        Self::Reference,
        Self::ReferenceSyntax,
        Self::Environment,
        Self::Secret,
        Self::Template,
        Self::TemplateFails,
        Self::StageId,
        Self::Needs,
        Self::Like,
        Self::Incomplete,
        Self::Profile,
        Self::Url,
        Self::Credential,
        Self::Header,
        Self::Path,
        Self::Dataset,
        Self::Threshold,
        Self::Metric,
        Self::Aggregate,
        Self::ThresholdStage,
        Self::Unit,
        Self::Baseline,
        Self::Sink,
        Self::Cycle,
        Self::Selection,
        Self::Set,
    ];

    /// The code with this number, in any case.
    pub fn find(number: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.number().eq_ignore_ascii_case(number))
    }

    /// Its number, such as `E011`.
    pub fn number(self) -> &'static str {
        match self {
            Self::File => "E001",
            Self::Syntax => "E002",
            Self::DuplicateKey => "E003",
            Self::Limit => "E004",
            Self::Tag => "E005",
            Self::Reuse => "E006",
            Self::Clash => "E007",
            Self::FileCycle => "E008",
            Self::Version => "E010",
            Self::UnknownKey => "E011",
            Self::Type => "E012",
            Self::MissingKey => "E013",
            Self::Value => "E014",
            Self::Choice => "E015",
            Self::Conflict => "E016",
            Self::ParamMissing => "E020",
            Self::ParamValue => "E021",
            Self::ParamUndeclared => "E022",
            Self::ParamDeclaration => "E023",
            Self::ParamUnused => "E024",
            Self::ParamFile => "E025",
            Self::Matrix => "E026",
            Self::Reference => "E030",
            Self::ReferenceSyntax => "E031",
            Self::Environment => "E032",
            Self::Secret => "E033",
            Self::Template => "E034",
            Self::TemplateFails => "E035",
            Self::StageId => "E040",
            Self::Needs => "E041",
            Self::Like => "E042",
            Self::Incomplete => "E043",
            Self::Profile => "E050",
            Self::Url => "E051",
            Self::Credential => "E052",
            Self::Header => "E053",
            Self::Path => "E054",
            Self::Dataset => "E055",
            Self::Threshold => "E060",
            Self::Metric => "E061",
            Self::Aggregate => "E062",
            Self::ThresholdStage => "E063",
            Self::Unit => "E064",
            Self::Baseline => "E065",
            Self::Sink => "E070",
            Self::Cycle => "E080",
            Self::Selection => "E090",
            Self::Set => "E091",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.number())
    }
}
