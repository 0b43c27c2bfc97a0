//! The models that rows named, each by itself (`prompt.model: row`, or a map).
//!
//! In: records. Out: a [`ModelSummary`] for each model that was asked for because a row names it.
//! Invariant: requests that asked for the endpoint's own model are in none; beyond so many models the
//! rest stand together under one name, so that nothing is lost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::catalogue::{self, Source};
use super::samples::Samples;
use super::summary::Distribution;
use crate::record::{OutcomeKind, Record};

/// Models that are told apart.
const MOST: usize = 64;

/// The name of all models beyond those.
const OTHERS: &str = "(others)";

/// The metrics of each.
const METRICS: [&str; 2] = ["ttft", "e2e"];

/// What requests for one model came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ModelSummary {
    /// Complete answers.
    pub ok: u64,
    /// Failed requests.
    pub errors: u64,
    /// TTFT and E2E of its complete answers; a metric without samples is absent.
    pub metrics: BTreeMap<String, Distribution>,
}

/// The models of a stage that has not ended.
#[derive(Debug, Clone, Default)]
pub(super) struct ModelTally(BTreeMap<String, Model>);

#[derive(Debug, Clone, Default)]
struct Model {
    ok: u64,
    errors: u64,
    samples: [Samples; METRICS.len()],
}

impl ModelTally {
    /// Takes a request that ended.
    pub fn take(&mut self, record: &Record) {
        let Some(name) = &record.asked_model else { return };
        let is_known = self.0.len() < MOST || self.0.contains_key(name);
        let model = self.0.entry(if is_known { name } else { OTHERS }.to_owned()).or_default();
        match record.outcome {
            OutcomeKind::Ok => model.ok += 1,
            OutcomeKind::Cancelled | OutcomeKind::DroppedLate | OutcomeKind::NeverStarted => {}
            OutcomeKind::Http
            | OutcomeKind::Timeout
            | OutcomeKind::Connect
            | OutcomeKind::Stream
            | OutcomeKind::Protocol
            | OutcomeKind::Unmade => model.errors += 1,
        }
        for (metric, samples) in METRICS.iter().zip(&mut model.samples) {
            if let Some(Source::Request(figure)) = catalogue::source(metric) {
                samples.extend(figure(record));
            }
        }
    }

    /// The figures of each, but for metrics that can't be told.
    pub fn finish(self, untold: &BTreeMap<String, String>) -> BTreeMap<String, ModelSummary> {
        let of = |(name, model): (String, Model)| {
            let figures = METRICS.iter().zip(model.samples).filter_map(|(metric, mut samples)| {
                samples.finish();
                Some(((*metric).to_owned(), samples.distribution("ms")?))
            });
            let metrics = figures.filter(|(metric, _)| !untold.contains_key(metric)).collect();
            (name, ModelSummary { ok: model.ok, errors: model.errors, metrics })
        };
        self.0.into_iter().map(of).collect()
    }
}
