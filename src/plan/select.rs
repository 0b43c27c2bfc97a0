//! `--select`, `--exclude` and `--smoke`: which stages run, and how much of them.
//!
//! In: the stages of one cell. Out: those asked for, in order. Invariant: what is left out leaves
//! no gap: whoever waited for it waits for what it waited for.

use std::collections::BTreeSet;

use super::diagnostic::{Code, Diagnostic};
use super::{Limit, LoadOptions, Stage, Threshold, suggest};

/// What a selector means.
#[derive(Debug, PartialEq, Eq)]
enum Selector<'s> {
    Tag(&'s str),
    Kind(&'s str),
    /// An id, with what it waits for, and with what waits for it.
    Id {
        id: &'s str,
        before: bool,
        after: bool,
    },
}

impl<'s> Selector<'s> {
    fn parse(text: &'s str) -> Self {
        if let Some(tag) = text.strip_prefix("tag:") {
            return Self::Tag(tag);
        }
        if let Some(kind) = text.strip_prefix("kind:") {
            return Self::Kind(kind);
        }
        let (before, id) = text.strip_prefix('+').map_or((false, text), |rest| (true, rest));
        let (after, id) = id.strip_suffix('+').map_or((false, id), |rest| (true, rest));
        Self::Id { id, before, after }
    }

    /// The stages it means, by number.
    fn matches(&self, stages: &[Stage]) -> BTreeSet<usize> {
        let all = stages.iter().enumerate();
        match *self {
            Self::Tag(tag) => {
                all.filter(|(_, it)| it.tags.iter().any(|own| own == tag)).map(|it| it.0).collect()
            }
            Self::Kind(kind) => {
                all.filter(|(_, it)| it.action.kind() == kind).map(|it| it.0).collect()
            }
            Self::Id { id, before, after } => {
                let own: BTreeSet<usize> =
                    all.filter(|(_, it)| it.id == id).map(|it| it.0).collect();
                let mut matched = own.clone();
                if before {
                    spread(&mut matched, stages, |from, to| waits(&stages[from], &stages[to]));
                }
                if after {
                    let mut later = own;
                    spread(&mut later, stages, |from, to| waits(&stages[to], &stages[from]));
                    matched.extend(later);
                }
                matched
            }
        }
    }
}

fn waits(stage: &Stage, other: &Stage) -> bool {
    stage.needs.iter().any(|need| need.id == other.id)
}

/// Adds all that can be reached.
fn spread(set: &mut BTreeSet<usize>, stages: &[Stage], leads: impl Fn(usize, usize) -> bool) {
    let mut open: Vec<usize> = set.iter().copied().collect();
    while let Some(from) = open.pop() {
        for to in 0..stages.len() {
            if leads(from, to) && set.insert(to) {
                open.push(to);
            }
        }
    }
}

/// Applies the command line to the stages of one cell; `matched` notes which selectors met a stage.
pub(super) fn apply(
    mut stages: Vec<Stage>,
    options: &LoadOptions,
    matched: &mut BTreeSet<String>,
    found: &mut Vec<Diagnostic>,
) -> Vec<Stage> {
    if !options.select.is_empty() || !options.exclude.is_empty() {
        let mut of = |selectors: &[String]| {
            let mut all = BTreeSet::new();
            for selector in selectors {
                let met = Selector::parse(selector).matches(&stages);
                if !met.is_empty() {
                    matched.insert(selector.clone());
                }
                all.extend(met);
            }
            all
        };
        let selected = if options.select.is_empty() {
            (0..stages.len()).collect()
        } else {
            of(&options.select)
        };
        let excluded = of(&options.exclude);
        let kept: BTreeSet<usize> = selected.difference(&excluded).copied().collect();
        warn_of_gaps(&stages, &kept, found);
        stages = keep(stages, &kept);
    }
    if options.smoke {
        for stage in &mut stages {
            stage.action.smoke();
            stage.thresholds.clear();
            stage.live.clear();
        }
    }
    stages
}

/// A stage that repeats or is judged by one that will not run.
fn warn_of_gaps(stages: &[Stage], kept: &BTreeSet<usize>, found: &mut Vec<Diagnostic>) {
    let is_kept = |id: &str| kept.iter().any(|&index| stages[index].id == id);
    for &index in kept {
        let stage = &stages[index];
        let live = stage.live.iter().map(|check| (&check.when, "this check is not watched"));
        let judged = stage.thresholds.iter().map(|it| (it, "this check fails for want of data"));
        for (threshold, words) in judged.chain(live) {
            let named = named(threshold).find(|id| !is_kept(id));
            if let Some(id) = named {
                let message = format!("`{}` is judged by `{id}`, which is not selected", stage.id);
                found.push(
                    Diagnostic::warning(Code::Selection, message)
                        .label(threshold.location.clone(), words)
                        .help(format!("`--select +{}` runs what it waits for, too", stage.id)),
                );
            }
        }
    }
}

/// The other stages that a check reads.
fn named(threshold: &Threshold) -> impl Iterator<Item = &str> {
    let of = match &threshold.right {
        Limit::Times { of, .. } => of.stage.as_deref(),
        _ => None,
    };
    threshold.left.stage.as_deref().into_iter().chain(of)
}

/// The kept stages; needs skip over those that are gone.
fn keep(stages: Vec<Stage>, kept: &BTreeSet<usize>) -> Vec<Stage> {
    let needs: Vec<_> = stages.iter().map(|stage| stage.needs.clone()).collect();
    let position = |id: &str| stages.iter().position(|stage| stage.id == id);
    let bridged: Vec<_> = kept
        .iter()
        .map(|&index| {
            let mut open = needs[index].clone();
            open.reverse();
            let mut seen: BTreeSet<String> = BTreeSet::new();
            let mut left = Vec::new();
            while let Some(need) = open.pop() {
                if !seen.insert(need.id.clone()) {
                    continue;
                }
                match position(&need.id) {
                    Some(index) if !kept.contains(&index) => {
                        open.extend(needs[index].iter().rev().cloned());
                    }
                    _ => left.push(need),
                }
            }
            (index, left)
        })
        .collect();
    let mut bridged = bridged.into_iter().peekable();
    let mut out = Vec::new();
    for (index, mut stage) in stages.into_iter().enumerate() {
        if let Some((_, needs)) = bridged.next_if(|(kept, _)| *kept == index) {
            stage.needs = needs;
            out.push(stage);
        }
    }
    out
}

/// What selectors may name, over all cells.
#[derive(Debug, Default)]
pub(super) struct Known {
    ids: Vec<String>,
    kinds: Vec<String>,
    tags: Vec<String>,
}

impl Known {
    /// Takes in the stages of one cell.
    pub(super) fn add(&mut self, stages: &[Stage]) {
        fn once(words: &mut Vec<String>, word: &str) {
            if !words.iter().any(|known| known == word) {
                words.push(word.to_owned());
            }
        }
        for stage in stages {
            once(&mut self.ids, &stage.id);
            once(&mut self.kinds, stage.action.kind());
            stage.tags.iter().for_each(|tag| once(&mut self.tags, tag));
        }
    }

    /// Reports selectors that met no stage of any cell, and a selection that leaves nothing; a plan
    /// without stages has another fault.
    pub(super) fn unmatched(
        &self,
        is_empty: bool,
        options: &LoadOptions,
        matched: &BTreeSet<String>,
        found: &mut Vec<Diagnostic>,
    ) {
        if self.ids.is_empty() {
            return;
        }
        let flags = options.select.iter().map(|it| ("--select", it));
        let flags = flags.chain(options.exclude.iter().map(|it| ("--exclude", it)));
        let before = found.len();
        for (flag, selector) in flags.filter(|(_, selector)| !matched.contains(*selector)) {
            found.push(self.no_stage(flag, selector));
        }
        if is_empty && found.len() == before {
            let message = "--select and --exclude leave no stage to run";
            let help = format!("stages: {}", list(&self.ids));
            found.push(Diagnostic::error(Code::Selection, message).help(help));
        }
    }

    /// What to say of a selector that met nothing.
    fn no_stage(&self, flag: &str, selector: &str) -> Diagnostic {
        let (prefix, word, words, what) = match Selector::parse(selector) {
            Selector::Tag(tag) => ("tag:", tag, &self.tags, "tags of this plan"),
            Selector::Kind(kind) => ("kind:", kind, &self.kinds, "kinds in this plan"),
            Selector::Id { id, .. } => ("", id, &self.ids, "stages"),
        };
        let message = match word {
            "" => format!("{flag}: the selector `{selector}` names nothing"),
            _ => format!("{flag} {selector}: no stage matches"),
        };
        let mut diagnostic = Diagnostic::error(Code::Selection, message);
        let several: Vec<&str> = selector.split([',', ' ']).filter(|it| !it.is_empty()).collect();
        if several.len() > 1 && several.iter().all(|it| self.ids.iter().any(|id| id == it)) {
            let flags: Vec<String> = several.iter().map(|it| format!("{flag} {it}")).collect();
            diagnostic = diagnostic
                .help(format!("for several stages repeat the flag: `{}`", flags.join(" ")));
        } else if let Some(near) = suggest::nearest(word, words.iter().map(String::as_str)) {
            diagnostic = diagnostic.help(format!("did you mean `{prefix}{near}`?"));
        }
        diagnostic
            .help(match list(words) {
                none if none.is_empty() => "no stage of this plan has a tag".to_owned(),
                words => format!("{what}: {words}"),
            })
            .help("selectors: `id`, `+id`, `id+`, `+id+`, `tag:x`, `kind:cold`")
    }
}

fn list(words: &[String]) -> String {
    suggest::list(words.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plus_before_means_what_it_waits_for_and_one_after_what_waits_for_it() {
        let id = |id, before, after| Selector::Id { id, before, after };
        assert_eq!(Selector::parse("warm"), id("warm", false, false));
        assert_eq!(Selector::parse("+warm"), id("warm", true, false));
        assert_eq!(Selector::parse("+warm+"), id("warm", true, true));
        assert_eq!(Selector::parse("tag:a+b"), Selector::Tag("a+b"));
        assert_eq!(Selector::parse("kind:cold"), Selector::Kind("cold"));
    }
}
