//! How late this machine lets the client see what has arrived.
//!
//! In: a runtime. Out: counts of how late something would have been seen that arrived at moments ten
//! milliseconds apart. Invariant: it is measured where requests are sent and stamped, so that whatever
//! holds those up (other programs on the same cores, too much work of our own, a machine that stood
//! still) is in it; a pause counts for all moments in it, and not once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// From one moment to the next.
const EVERY: Duration = Duration::from_millis(10);
/// Steps of the scale per doubling: each is a tenth wide.
const STEPS: f64 = 8.0;
/// Steps of the scale: from a microsecond to two minutes.
const SCALE: usize = 216;

/// Counts on a logarithmic scale of lateness.
#[derive(Debug)]
pub struct Wakes {
    counts: [AtomicU64; SCALE],
}

/// The counts at one time.
#[derive(Debug, Clone)]
pub struct Reading([u64; SCALE]);

impl Default for Wakes {
    fn default() -> Self {
        Self { counts: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl Wakes {
    /// Counts until it is dropped. To be run on the threads that send and stamp.
    pub async fn watch(self: Arc<Self>) {
        let mut due = Instant::now() + EVERY;
        loop {
            tokio::time::sleep_until(due.into()).await;
            let now = Instant::now();
            while due <= now {
                self.note(now - due);
                due += EVERY;
            }
        }
    }

    /// The counts so far.
    pub fn read(&self) -> Reading {
        Reading(std::array::from_fn(|at| self.counts[at].load(Ordering::Relaxed)))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a logarithm of at least one, far below the scale's end or cut there"
    )]
    fn note(&self, late: Duration) {
        let microseconds = (late.as_secs_f64() * 1e6).max(1.0);
        let step = (microseconds.log2() * STEPS) as usize;
        self.counts[step.min(SCALE - 1)].fetch_add(1, Ordering::Relaxed);
    }
}

impl Reading {
    /// What was counted since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at].saturating_sub(earlier.0[at])))
    }

    /// Moments that were looked at.
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The lateness that a share (0 to 1) of the moments keeps below, to a tenth of itself; `None`
    /// without any.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = share * self.count() as f64;
        let mut seen = 0;
        let step = self.0.iter().position(|count| {
            seen += count;
            *count > 0 && seen as f64 >= wanted
        })?;
        Some(Duration::from_secs_f64(((step as f64 + 1.0) / STEPS).exp2() / 1e6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_a_tenth() {
        let wakes = Wakes::default();
        let before = wakes.read();
        for late in 1..=100 {
            wakes.note(Duration::from_millis(late));
        }
        let read = wakes.read().since(&before);
        assert_eq!(read.count(), 100);
        for (share, expected) in [(0.5, 50.0), (0.95, 95.0), (1.0, 100.0)] {
            let found = read.quantile(share).expect("counts").as_secs_f64() * 1e3;
            assert!((found / expected - 1.0).abs() < 0.1, "{share}: {found} is not {expected}");
        }
        assert_eq!(wakes.read().since(&wakes.read()).quantile(0.5), None);
    }

    #[tokio::test]
    async fn a_pause_counts_for_every_moment_in_it() {
        let wakes = Arc::new(Wakes::default());
        let watching = tokio::spawn(Arc::clone(&wakes).watch());
        tokio::time::sleep(Duration::from_millis(50)).await;
        let before = wakes.read();
        // This thread, which everything runs on, stands still.
        std::thread::sleep(Duration::from_millis(300));
        tokio::time::sleep(Duration::from_millis(20)).await;
        let read = wakes.read().since(&before);
        watching.abort();
        assert!(read.count() >= 29, "{}", read.count());
        let median = read.quantile(0.5).expect("counts");
        assert!((80..=400).contains(&median.as_millis()), "{median:?}");
    }
}
