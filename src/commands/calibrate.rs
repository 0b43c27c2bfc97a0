//! `runner calibrate`: what this machine can do as a load generator.
//!
//! In: how much to measure. Out: a table or JSON on standard output, and the file that later runs
//! hold their plans against.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::cli::{CalibrateArgs, DiagnosticFormat};
use crate::executor::calibration::{self, Calibration, Effort, Spread, store};
use crate::executor::progress::ProgressMode;
use crate::machine;
use crate::output::{self, note};
use crate::plan::Plan;

/// Measures, prints and keeps.
pub fn run(args: &CalibrateArgs) -> anyhow::Result<u8> {
    let effort = if args.quick { Effort::quick() } else { Effort::full() };
    machine::raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(calibration::calibrate(&effort, ProgressMode::Plain));
    let calibration = match measured {
        Ok(calibration) => calibration,
        Err(error) => {
            note!("error: {error}");
            return Ok(super::PREFLIGHT);
        }
    };
    runtime.shutdown_background();
    output::print(&match args.format {
        DiagnosticFormat::Text => text(&calibration),
        DiagnosticFormat::Json => output::json(&calibration)?,
    });
    let place = args.save.clone().or_else(|| store::path(store::environment));
    match place.as_deref().map(|path| (path, store::save(&calibration, path))) {
        Some((path, Ok(()))) => note!("kept in {}", path.display()),
        Some((path, Err(error))) => {
            note!("error: {}: {error}", path.display());
            return Ok(super::USAGE);
        }
        None => note!("not kept: no home folder; name a file with --save"),
    }
    Ok(super::PASS)
}

/// What `plan` asks for beyond the last calibration of this machine.
pub(crate) fn warnings(plan: &Plan) -> Vec<String> {
    let last = store::path(store::environment).and_then(|path: PathBuf| store::last(&path));
    last.map_or_else(Vec::new, |calibration| store::beyond(plan, &calibration))
}

fn text(calibration: &Calibration) -> String {
    let Calibration { host, .. } = calibration;
    let mut out = format!(
        "{} ({} cores, {} {}), client and simulator together: against a server elsewhere it is \
         more\n\n",
        host.hostname.as_deref().unwrap_or("this machine"),
        host.cores,
        host.os,
        host.arch
    );
    // Writing into a string has no way to fail.
    let _written = writeln!(
        out,
        "{:>8} {:>12} {:>12} {:>8} {:>8}",
        "streams", "requests/s", "events/s", "µs CPU", "failed"
    );
    for it in &calibration.ceilings {
        let cpu = it.cpu_us_per_request.map_or_else(|| "–".to_owned(), |us| format!("{us:.0}"));
        let _written = writeln!(
            out,
            "{:>8} {:>12.0} {:>12.0} {cpu:>8} {:>8}",
            it.streams, it.requests_per_second, it.events_per_second, it.failed
        );
    }
    if calibration.ceilings.iter().any(|it| it.failed > 0) {
        out.push_str("  failed: most likely out of open files; see `ulimit -Hn`\n");
    }
    let _written = writeln!(out, "\n{:>8} {:>12} {:>21}", "rate", "sent", "lag p50 / p99 (ms)");
    for it in &calibration.schedules {
        let (rate, sent) = (it.target_rate, it.sent_rate);
        let _written = writeln!(out, "{rate:>6}/s {sent:>10.1}/s {:>21}", pair(it.lag_ms));
    }
    let _written = writeln!(
        out,
        "\nsaid minus true, p50 / p99 (ms)\n{:>8} {:>21} {:>21} {:>21}",
        "streams", "TTFT", "ITL", "E2E"
    );
    for it in &calibration.accuracy {
        let _written = writeln!(
            out,
            "{:>8} {:>21} {:>21} {:>21}",
            it.streams,
            pair(it.ttft_ms),
            pair(it.itl_ms),
            pair(it.e2e_ms)
        );
    }
    out
}

fn pair(spread: Spread) -> String {
    format!("{:.3} / {:.3}", spread.p50, spread.p99)
}
