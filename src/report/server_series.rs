//! What the servers said of themselves over a run, in bounded memory.
//!
//! In: readings in the order of time. Out: points of a few gauges. Invariant: once there are too
//! many readings every second one goes, so that what stays is spread over the whole run.

use crate::record::ServerLine;

/// Most readings kept.
const MOST: usize = 2_000;

/// The gauges that are drawn: the metric, its name for people, its unit, and by what it is
/// multiplied.
pub const DRAWN: [(&str, &str, &str, f64); 4] = [
    ("running", "running", "requests", 1.0),
    ("waiting", "waiting", "requests", 1.0),
    ("kv_usage", "KV cache in use", "%", 100.0),
    ("gpu_utilisation_percent", "GPU utilisation", "%", 1.0),
];

/// Readings of a run.
#[derive(Debug, Clone, Default)]
pub struct ServerSeries {
    /// When, in seconds of the run, and each of [`DRAWN`], if it was there.
    readings: Vec<(f64, [Option<f64>; DRAWN.len()])>,
    /// Each that many-th reading is kept (0 stands for every one).
    every: u64,
    seen: u64,
}

impl ServerSeries {
    /// Takes the next reading.
    pub fn take(&mut self, line: &ServerLine) {
        if line.error.is_some() {
            return;
        }
        self.seen += 1;
        if !self.seen.is_multiple_of(self.every.max(1)) {
            return;
        }
        let values = DRAWN.map(|(name, _, _, times)| Some(line.gauges.get(name)? * times));
        self.readings.push((line.at_ns as f64 / 1e9, values));
        if self.readings.len() > MOST {
            let mut place = 0;
            self.readings.retain(|_| {
                place += 1;
                place % 2 == 0
            });
            self.every = self.every.max(1) * 2;
        }
    }

    /// The points of the gauge at `place` in [`DRAWN`].
    pub fn points(&self, place: usize) -> Vec<[f64; 2]> {
        let point = |(at, values): &(f64, [Option<f64>; DRAWN.len()])| {
            Some([*at, values.get(place).copied().flatten()?])
        };
        self.readings.iter().filter_map(point).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_keeps_readings_from_all_of_it() {
        let mut series = ServerSeries::default();
        for second in 0..100_000_u32 {
            series.take(&ServerLine {
                endpoint: "e".into(),
                at_ns: u64::from(second) * 1_000_000_000,
                gauges: [("kv_usage".to_owned(), 0.5)].into(),
                ..ServerLine::default()
            });
        }
        let points = series.points(2);
        assert!(points.len() > MOST / 2 && points.len() <= MOST, "{}", points.len());
        assert!(points[0][0] < 1_000.0 && points[points.len() - 1][0] > 99_000.0);
        assert!(points.iter().all(|point| (point[1] - 50.0).abs() < 1e-9));
        assert!(series.points(0).is_empty());
    }
}
