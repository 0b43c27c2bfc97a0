//! What the way to the server did that a reader of the numbers must know.
//!
//! In: the stages of a run. Out: sentences. Invariant: each is about what records say, so a summary
//! rebuilt from the log says the same.

use super::generator;
use super::quantity::plural;
use super::summary::StageSummary;

/// Notes on what was sent twice, what came in one piece, what cannot be told, and where it went.
pub(super) fn notes(stages: &[StageSummary]) -> Vec<String> {
    let of_stage = |stage: &StageSummary| {
        let label = stage.label();
        let told = [resent(stage), in_one_piece(stage), untold(stage), one_of_several(stage)];
        told.into_iter().flatten().map(move |note| format!("stage {label}: {note}"))
    };
    let reported = stages.iter().filter(|stage| stage.reported);
    reported.flat_map(of_stage).chain(flushed_one(stages)).collect()
}

fn resent(stage: &StageSummary) -> Option<String> {
    let client = &stage.client;
    (client.resent > 0).then(|| {
        format!(
            "{} had to be sent twice: a kept connection died under each within 50 ms, before a byte \
             of an answer, as where a server closes it just then. {} left in all, so the server may \
             have worked on some twice; times count from the first",
            plural(client.resent, "request"),
            plural(client.posts, "POST"),
        )
    })
}

fn in_one_piece(stage: &StageSummary) -> Option<String> {
    let count = stage.client.in_one_piece;
    let merged = if generator::may_have_merged(&stage.client) {
        "this machine was too busy to see it come, or "
    } else {
        ""
    };
    (count > 0).then(|| {
        format!(
            "{count} of {} came in one piece though a stream was asked for: {merged}something between \
             here and the model buffers the stream, or the server makes its answer at once; TTFT is \
             the time of the whole answer there, and TPOT leaves them out",
            plural(stage.counts.ok, "answer"),
        )
    })
}

fn untold(stage: &StageSummary) -> Option<String> {
    stage.untold.get("itl").map(|why| format!("no ITL: {why}"))
}

fn one_of_several(stage: &StageSummary) -> Option<String> {
    let several = stage.addresses.len();
    (several > 1 && stage.server.is_some()).then(|| {
        format!(
            "its host has {several} addresses, and the server's own account is of one of them: its \
             counters and gauges are of a part of the load"
        )
    })
}

/// A flush goes over one connection, and so to one server.
fn flushed_one(stages: &[StageSummary]) -> Vec<String> {
    let several = |flush: &StageSummary| {
        let same = stages.iter().filter(|stage| stage.endpoint == flush.endpoint);
        same.map(|stage| stage.addresses.len()).max().filter(|count| *count > 1)
    };
    let flushes = stages.iter().filter(|stage| stage.flush.is_some());
    let note = |flush: &StageSummary| {
        let count = several(flush)?;
        Some(format!(
            "stage {}: its host has {count} addresses, and the flush emptied the cache of one of \
             them: set `addresses: first` to measure one server",
            flush.label()
        ))
    };
    flushes.filter_map(note).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tally::StageTally;
    use crate::metrics::tally::fixture::{ms, record, stage_end, stage_start};
    use crate::record::{Connection, Record, STALE_REUSE_RESENT, StageState};

    fn notes_on(records: &[Record]) -> Vec<String> {
        let mut tally = StageTally::new(stage_start(records.len() as u64));
        for (index, record) in (0..).zip(records) {
            tally.ended(&Record { index, ..record.clone() });
        }
        notes(&[tally.close(Some(&stage_end(StageState::Completed))).0.summary])
    }

    #[test]
    fn what_was_sent_twice_is_told_with_the_posts_that_left() {
        let resent = Record { flags: vec![STALE_REUSE_RESENT.into()], ..record() };
        let kept = Record {
            connected_ns: None,
            connection: Connection { reused: true, ..Connection::default() },
            ..record()
        };
        let told = notes_on(&[resent, kept]);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("stage cold: 1 request had to be sent twice"), "{told:?}");
        assert!(told[0].contains("3 POSTs left in all"), "{told:?}");
    }

    #[test]
    fn answers_in_one_piece_are_told_once_a_stage() {
        let token_ns = vec![ms(310); 4];
        let whole = Record { token_ns, last_token_ns: Some(ms(310)), ..record() };
        let told = notes_on(&[whole.clone(), whole]);
        assert!(told[0].starts_with("stage cold: 2 of 2 answers came in one piece"), "{told:?}");
        assert!(told[1].starts_with("stage cold: no ITL: 100 %"), "{told:?}");
    }
}
