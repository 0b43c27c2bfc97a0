//! A [`Pulse`] as Prometheus reads it.
//!
//! In: the run so far. Out: the text exposition format 0.0.4: times in seconds, shares from 0 to 1,
//! counters ending in `_total`. Invariant: whatever a plan or a server calls itself stays within its
//! label.

use std::fmt::Write as _;

use crate::metrics::pulse::{BOUNDS_S, Pulse, StagePulse, TIMES, TOKENS};
use crate::metrics::summary::Summary;
use crate::plan::metric;

/// The whole page.
pub(super) fn render(pulse: &Pulse) -> String {
    let mut page = Page::default();
    if let Some(run) = &pulse.run {
        let version = run.runner_version.as_str();
        let word = |flag| if flag { "true" } else { "false" };
        let labels = labels(&[
            ("insecure", word(run.insecure)),
            ("plan", &run.plan),
            ("run_id", &run.run_id),
            ("simulated", word(run.simulated)),
            ("version", version),
        ]);
        page.family("runner_run_info", "gauge", "which run this is");
        page.sample("runner_run_info", &labels, 1.0);
    }
    page.stages(
        pulse,
        "runner_requests_planned",
        "gauge",
        "requests the stage will send",
        |stage| vec![(String::new(), stage.start.planned as f64)],
    );
    page.stages(pulse, "runner_requests_in_flight", "gauge", "sent and not ended", |stage| {
        vec![(String::new(), stage.in_flight as f64)]
    });
    page.stages(pulse, "runner_requests_total", "counter", "ended, by outcome", |stage| {
        let of =
            |(outcome, count): (&&str, &u64)| (format!(",outcome=\"{outcome}\""), *count as f64);
        stage.outcomes.iter().map(of).collect()
    });
    page.stages(pulse, "runner_errors_total", "counter", "failed, by class", |stage| {
        let of = |(class, count): (&String, &u64)| {
            (format!(",class=\"{}\"", escaped(class)), *count as f64)
        };
        stage.errors.iter().map(of).collect()
    });
    for (at, metric) in TOKENS.iter().enumerate() {
        let name = format!("runner_{metric}_total");
        page.stages(pulse, &name, "counter", definition(metric), |stage| {
            vec![(String::new(), stage.tokens[at] as f64)]
        });
    }
    for (at, metric) in TIMES.iter().enumerate() {
        page.histogram(pulse, at, &format!("runner_{metric}_seconds"), definition(metric));
    }
    page.stages(pulse, "runner_stage_running", "gauge", "1 until the stage has ended", |stage| {
        vec![(String::new(), f64::from(u8::from(stage.state.is_none())))]
    });
    if let Some(summary) = &pulse.summary {
        page.verdict(summary);
    }
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing into a String can't fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: f64) {
        let _ = writeln!(self.text, "{name}{{{labels}}} {value}");
    }

    /// A family with samples of every stage; `take` gives further labels and values.
    fn stages(
        &mut self,
        pulse: &Pulse,
        name: &str,
        kind: &str,
        help: &str,
        take: impl Fn(&StagePulse) -> Vec<(String, f64)>,
    ) {
        self.family(name, kind, help);
        for stage in &pulse.stages {
            let labels = of(stage);
            for (further, value) in take(stage) {
                self.sample(name, &format!("{labels}{further}"), value);
            }
        }
    }

    fn histogram(&mut self, pulse: &Pulse, at: usize, name: &str, help: &str) {
        self.family(name, "histogram", help);
        for stage in &pulse.stages {
            let (labels, buckets) = (of(stage), &stage.times[at]);
            let mut sum = 0;
            let bounds = BOUNDS_S.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
            for (count, bound) in buckets.counts.iter().zip(bounds) {
                sum += count;
                let labels = format!("{labels},le=\"{bound}\"");
                self.sample(&format!("{name}_bucket"), &labels, sum as f64);
            }
            self.sample(&format!("{name}_sum"), &labels, buckets.sum_s);
            self.sample(&format!("{name}_count"), &labels, sum as f64);
        }
    }

    fn verdict(&mut self, summary: &Summary) {
        self.family("runner_run_passed", "gauge", "1 when the run passed");
        self.sample("runner_run_passed", "", f64::from(u8::from(summary.verdict.pass)));
        self.family("runner_run_exit_code", "gauge", "the exit code of the run");
        self.sample("runner_run_exit_code", "", summary.verdict.exit_code.into());
        self.family("runner_threshold_passed", "gauge", "1 when the check held");
        for (number, (stage, result)) in summary
            .stages
            .iter()
            .flat_map(|stage| stage.thresholds.iter().map(move |result| (stage, result)))
            .enumerate()
        {
            // Two checks of a stage may read the same; a number keeps their series apart.
            let labels = labels(&[
                ("stage", &stage.label_of_checks()),
                ("check", &result.check),
                ("number", &(number + 1).to_string()),
            ]);
            self.sample("runner_threshold_passed", &labels, f64::from(u8::from(result.pass)));
        }
    }
}

/// The labels that every sample of a stage has.
fn of(stage: &StagePulse) -> String {
    let start = &stage.start;
    let rung = start.rung.map(|rung| rung.to_string()).unwrap_or_default();
    labels(&[
        ("stage", &start.stage),
        ("kind", &start.kind),
        ("cell", start.cell.as_deref().unwrap_or_default()),
        ("rung", &rung),
    ])
}

fn labels(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
    pairs.collect::<Vec<_>>().join(",")
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn definition(name: &str) -> &'static str {
    metric::find(name).map_or("", |metric| metric.definition)
}
