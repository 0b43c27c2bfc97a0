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

/// Selectors that met no stage of any cell, and a selection that leaves nothing.
pub(super) fn unmatched(
    ids: &[String],
    is_empty: bool,
    options: &LoadOptions,
    matched: &BTreeSet<String>,
    found: &mut Vec<Diagnostic>,
) {
    let flags = options.select.iter().map(|it| ("--select", it));
    let flags = flags.chain(options.exclude.iter().map(|it| ("--exclude", it)));
    let before = found.len();
    for (flag, selector) in flags.filter(|(_, selector)| !matched.contains(*selector)) {
        let names = || ids.iter().map(String::as_str);
        let mut diagnostic =
            Diagnostic::error(Code::Selection, format!("{flag} {selector}: no stage matches"));
        if let Selector::Id { id, .. } = Selector::parse(selector)
            && let Some(near) = suggest::nearest(id, names())
        {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        found.push(
            diagnostic
                .help(format!("stages: {}", suggest::list(names())))
                .help("selectors: `id`, `+id`, `id+`, `tag:x`, `kind:cold`"),
        );
    }
    if is_empty && found.len() == before {
        found.push(
            Diagnostic::error(Code::Selection, "--select and --exclude leave no stage to run")
                .help(format!("stages: {}", suggest::list(ids.iter().map(String::as_str)))),
        );
    }
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
