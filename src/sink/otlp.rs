//! `otlp:URL`: the run's figures as OpenTelemetry metrics.
//!
//! In: the run so far. Out: an `ExportMetricsServiceRequest` in the JSON form of OTLP/HTTP 1.x:
//! cumulative sums, gauges and explicit-bucket histograms; whole numbers of 64 bits are text, as
//! protobuf's JSON mapping asks.

use serde_json::{Value, json};
use url::Url;

use super::SinkError;
use super::push::Push;
use crate::metrics::pulse::{BOUNDS_S, Pulse, StagePulse, TIMES, TOKENS};
use crate::plan::metric;

/// Where a collector takes metrics.
const PATH: &str = "/v1/metrics";
/// Each value counts from the start of the run.
const CUMULATIVE: u8 = 2;

/// `otlp:URL`.
pub(super) fn push(name: String, target: &str) -> Result<Push, SinkError> {
    let mut url = Url::parse(target).map_err(|error| SinkError::new(&name, error))?;
    if matches!(url.path(), "" | "/") {
        url.set_path(PATH);
    }
    Push::open(name, &url, "application/json", |pulse| document(pulse).to_string().into_bytes())
}

/// The request.
fn document(pulse: &Pulse) -> Value {
    let mut resource = vec![attribute("service.name", "runner")];
    if let Some(run) = &pulse.run {
        resource.extend([
            attribute("service.version", &run.runner_version),
            attribute("service.instance.id", &run.run_id),
            attribute("runner.plan", &run.plan),
            json!({ "key": "runner.simulated", "value": { "boolValue": run.simulated } }),
            json!({ "key": "runner.insecure", "value": { "boolValue": run.insecure } }),
        ]);
    }
    let scope = json!({ "name": "runner", "version": env!("CARGO_PKG_VERSION") });
    let metrics = json!([{ "scope": scope, "metrics": metrics(pulse) }]);
    json!({
        "resourceMetrics": [{ "resource": { "attributes": resource }, "scopeMetrics": metrics }]
    })
}

fn metrics(pulse: &Pulse) -> Vec<Value> {
    let times = Times::of(pulse);
    let whole = |stage: &StagePulse, further: Vec<Value>, value: u64| {
        times.point(stage, further, &json!({ "asInt": value.to_string() }))
    };
    let of_each = |take: &dyn Fn(&StagePulse) -> u64| -> Vec<Value> {
        pulse.stages.iter().map(|stage| whole(stage, Vec::new(), take(stage))).collect()
    };
    let mut metrics = Vec::new();
    let requests = pulse.stages.iter().flat_map(|stage| {
        stage
            .outcomes
            .iter()
            .map(move |(outcome, count)| whole(stage, vec![attribute("outcome", outcome)], *count))
    });
    metrics.push(sum(
        "runner.requests",
        "{request}",
        "ended, by outcome",
        &requests.collect::<Vec<_>>(),
    ));
    let errors = pulse.stages.iter().flat_map(|stage| {
        stage
            .errors
            .iter()
            .map(move |(class, count)| whole(stage, vec![attribute("error.type", class)], *count))
    });
    metrics.push(sum(
        "runner.errors",
        "{request}",
        "failed, by class",
        &errors.collect::<Vec<_>>(),
    ));
    for (at, name) in TOKENS.iter().enumerate() {
        let points = of_each(&|stage| stage.tokens[at]);
        metrics.push(sum(&format!("runner.{name}"), "{token}", definition(name), &points));
    }
    metrics.push(json!({
        "name": "runner.requests_in_flight",
        "unit": "{request}",
        "description": "sent and not ended",
        "gauge": { "dataPoints": of_each(&|stage| stage.in_flight) },
    }));
    for (at, name) in TIMES.iter().enumerate() {
        let points: Vec<Value> = pulse
            .stages
            .iter()
            .map(|stage| {
                let buckets = &stage.times[at];
                let counts: Vec<String> = buckets.counts.iter().map(u64::to_string).collect();
                let value = json!({
                    "count": buckets.count().to_string(),
                    "sum": buckets.sum_s,
                    "bucketCounts": counts,
                    "explicitBounds": BOUNDS_S,
                });
                times.point(stage, Vec::new(), &value)
            })
            .collect();
        metrics.push(json!({
            "name": format!("runner.{name}"),
            "unit": "s",
            "description": definition(name),
            "histogram": { "aggregationTemporality": CUMULATIVE, "dataPoints": points },
        }));
    }
    if let Some(summary) = &pulse.summary {
        let value = json!({ "asInt": summary.verdict.exit_code.to_string() });
        let point = times.stamped(&[], &value);
        metrics.push(json!({
            "name": "runner.exit_code",
            "description": "the exit code of the run",
            "gauge": { "dataPoints": [point] },
        }));
    }
    metrics
}

fn sum(name: &str, unit: &str, description: &str, points: &[Value]) -> Value {
    json!({
        "name": name,
        "unit": unit,
        "description": description,
        "sum": {
            "aggregationTemporality": CUMULATIVE,
            "isMonotonic": true,
            "dataPoints": points,
        },
    })
}

/// From when and until when a value counts, as wall-clock nanoseconds.
struct Times {
    start: String,
    now: String,
}

impl Times {
    fn of(pulse: &Pulse) -> Self {
        let now = jiff::Timestamp::now().as_nanosecond().to_string();
        let start = pulse.run.as_ref().and_then(|run| run.started_at.parse().ok());
        let start = start.map(|start: jiff::Timestamp| start.as_nanosecond().to_string());
        Self { start: start.unwrap_or_else(|| now.clone()), now }
    }

    fn point(&self, stage: &StagePulse, further: Vec<Value>, value: &Value) -> Value {
        let start = &stage.start;
        let mut attributes = vec![attribute("stage", &start.stage), attribute("kind", &start.kind)];
        attributes.extend(start.cell.as_deref().map(|cell| attribute("cell", cell)));
        attributes.extend(
            start.rung.map(|rung| json!({ "key": "rung", "value": { "doubleValue": rung } })),
        );
        attributes.extend(further);
        self.stamped(&attributes, value)
    }

    fn stamped(&self, attributes: &[Value], value: &Value) -> Value {
        let mut point = json!({
            "attributes": attributes,
            "startTimeUnixNano": self.start,
            "timeUnixNano": self.now,
        });
        if let (Some(point), Some(value)) = (point.as_object_mut(), value.as_object()) {
            point.extend(value.clone());
        }
        point
    }
}

fn attribute(key: &str, text: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": text } })
}

fn definition(name: &str) -> &'static str {
    metric::find(name).map_or("", |metric| metric.definition)
}
