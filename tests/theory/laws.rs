//! Queues of which theory knows everything: arrivals, service times, and how long requests take.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

/// Requests until a queue that begins empty has forgotten it.
const WARM_UP: usize = 3_000;

/// How times are distributed, with mean 1.
#[derive(Debug, Clone, Copy)]
pub enum Law {
    /// Always 1.
    Constant,
    /// Exponential.
    Exponential,
    /// Lognormal whose logarithm deviates by so much.
    Lognormal(f64),
    /// Between 1 less so much and 1 more, all alike likely.
    Jitter(f64),
    /// Two exponentials, so that the squared coefficient of variation is so much (at least 1).
    Hyper(f64),
}

impl std::fmt::Display for Law {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Constant => write!(f, "equal"),
            Self::Exponential => write!(f, "exponential"),
            Self::Lognormal(deviation) => write!(f, "lognormal, {deviation}"),
            Self::Jitter(most) => write!(f, "even, ± {:.0} %", most * 100.0),
            Self::Hyper(squares) => write!(f, "hyperexponential, {squares}"),
        }
    }
}

/// Requests that arrive one by one and are served in order by so many servers.
#[derive(Debug, Clone, Copy)]
pub struct Queue {
    pub name: &'static str,
    pub arrivals: Law,
    pub service: Law,
    pub servers: usize,
    /// The share of the servers' time that is asked for.
    pub load: f64,
}

/// A seeded source of chance.
pub struct Dice(ChaCha8Rng);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Between 0 and 1, neither included.
    pub fn share(&mut self) -> f64 {
        (f64::from(self.0.next_u32()) + 0.5) / 4_294_967_296.0
    }

    pub fn draw(&mut self, law: Law) -> f64 {
        match law {
            Law::Constant => 1.0,
            Law::Exponential => -self.share().ln(),
            Law::Jitter(most) => 1.0 + most * (2.0 * self.share() - 1.0),
            Law::Lognormal(deviation) => {
                (deviation * self.normal() - deviation * deviation / 2.0).exp()
            }
            Law::Hyper(squares) => {
                // Balanced means (Allen, Probability, Statistics and Queueing Theory, §3.2.9).
                let first = 0.5 * (1.0 + ((squares - 1.0) / (squares + 1.0)).sqrt());
                let share = if self.share() < first { first } else { 1.0 - first };
                -self.share().ln() / (2.0 * share)
            }
        }
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.share().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.share()).cos()
    }
}

impl Queue {
    /// When each of `count` requests arrives and how long it takes, both in mean service times, once
    /// the queue has settled.
    pub fn draw(&self, count: usize, dice: &mut Dice) -> Vec<(f64, f64)> {
        let gap = 1.0 / (self.load * self.servers as f64);
        let mut free_at = vec![0.0_f64; self.servers];
        let mut now = 0.0;
        let mut requests = Vec::with_capacity(count);
        for number in 0..WARM_UP + count {
            now += gap * dice.draw(self.arrivals);
            let (first, free) = free_at
                .iter()
                .copied()
                .enumerate()
                .min_by(|one, other| one.1.total_cmp(&other.1))
                .expect("a server");
            let ended = free.max(now) + dice.draw(self.service);
            free_at[first] = ended;
            if number >= WARM_UP {
                requests.push((now, ended - now));
            }
        }
        requests
    }

    /// A percentile (0 to 100) of the time that requests take: exact where theory has a formula,
    /// else of a simulation of eight times so many requests.
    pub fn truth(&self, percent: f64, requests: usize) -> f64 {
        if let (Law::Exponential, Law::Exponential, 1) = (self.arrivals, self.service, self.servers)
        {
            // M/M/1: exponential with mean 1 / (1 − ρ).
            return -(1.0 - percent / 100.0).ln() / (1.0 - self.load);
        }
        let mut times: Vec<f64> = (0..8)
            .flat_map(|seed| self.draw(requests, &mut Dice::new(900 + seed)))
            .map(|(_, took)| took)
            .collect();
        times.sort_unstable_by(f64::total_cmp);
        runner::metrics::distribution::percentile(&times, percent).expect("times")
    }
}
