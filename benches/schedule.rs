//! Budgets of schedule generation: a worker regenerates the whole schedule to find its stripe, so
//! an arrival may cost some 30 ns (36 million, an hour at 10,000/s, in about a second).

#![expect(missing_docs, reason = "`criterion_group!` makes a public function")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use runner::plan::{ArrivalProcess, Rate, RatePiece, Until};
use runner::schedule::repeats::Repeats;
use runner::schedule::{Schedule, Stripe};

const ARRIVALS: u64 = 1_000_000;

fn arrivals(c: &mut Criterion) {
    let mut group = c.benchmark_group("arrivals");
    group.throughput(Throughput::Elements(ARRIVALS)).sample_size(20);
    let ramp = RatePiece { from: 10.0, to: 1_000.0, over: Duration::from_secs(600) };
    let cases = [
        ("constant", ArrivalProcess::Constant, Rate::Constant(10_000.0)),
        ("poisson", ArrivalProcess::Poisson, Rate::Constant(10_000.0)),
        ("poisson_ramp", ArrivalProcess::Poisson, Rate::Pieces(vec![ramp])),
        ("gamma", ArrivalProcess::Gamma { burstiness: 0.5 }, Rate::Constant(10_000.0)),
        ("burst", ArrivalProcess::Burst { size: 100 }, Rate::Constant(10_000.0)),
    ];
    for (name, process, rate) in cases {
        let Ok(schedule) = Schedule::new(process, &rate, Until::Requests(ARRIVALS), 7, "bench")
        else {
            continue;
        };
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter(|| schedule.iter().fold(0, |sum: u64, due| sum ^ black_box(due.offset_ns)));
        });
        if let Some(stripe) = Stripe::new(3, 7) {
            group.bench_function(BenchmarkId::new("striped", name), |b| {
                b.iter(|| {
                    schedule
                        .iter()
                        .striped(stripe)
                        .fold(0, |sum: u64, due| sum ^ black_box(due.index))
                });
            });
        }
    }
    group.finish();
}

fn repeats(c: &mut Criterion) {
    let repeats = Repeats::new(0.5, 7, "bench");
    let mut index = 0;
    c.bench_function("repeats/source", |b| {
        b.iter(|| {
            index += 1;
            repeats.source(black_box(index))
        });
    });
}

criterion_group!(benches, arrivals, repeats);
criterion_main!(benches);
