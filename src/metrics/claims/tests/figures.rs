//! Every number in a sentence is a figure of its claim.

use super::*;

/// The same stages in two cells.
fn in_cells(mut summary: Summary) -> Summary {
    let (stages, saturation) = (summary.stages.clone(), summary.saturation.clone());
    (summary.stages, summary.saturation) = (Vec::new(), BTreeMap::new());
    for cell in ["a", "b"] {
        let of_cell =
            |stage: &StageSummary| StageSummary { cell: Some(cell.into()), ..stage.clone() };
        summary.stages.extend(stages.iter().map(of_cell));
        let of_cell =
            saturation.iter().map(|(key, found)| (format!("{key}[{cell}]"), found.clone()));
        summary.saturation.extend(of_cell);
    }
    summary.with_claims()
}

/// A search that ended so.
fn search(reason: Option<Reason>) -> Summary {
    found(move |summary| {
        summary.saturation.clear();
        let found = SearchFound {
            axis: Axis::Rate,
            best: Some(4.25),
            failed_at: Some(8.5),
            unclear_at: (reason != Some(Reason::Converged)).then_some(6.5),
            reason,
            interval: Some((4.1, 4.4)),
            needed_s: Some(120.0),
            probes: 7,
            requests: 1_432,
            requests_per_second: Some(4.1),
            output_tokens_per_second: Some(81.3),
            goodput: Some(3.9),
            goodput_share: Some(0.951),
            recommended: Some((2.975, 3.4)),
            failed_because: Some("ttft.p99 < 100ms: 312 ms >= 100 ms".into()),
            withheld: None,
        };
        summary.stages.iter_mut().for_each(|stage| stage.rung = Some(4.25));
        summary.searches.insert("cold".into(), found);
    })
}

#[test]
fn every_number_in_a_sentence_is_a_figure_of_its_claim() {
    let flushed = [("cold", COLD, COLD, 200), ("warm", WARM, WARM, 10), ("after", COLD, COLD, 200)];
    let failed = [("cold", COLD, COLD, 200), ("warm", WARM, WARM, 10), ("after", COLD, WARM, 10)];
    let pair = |met, ttft| cache_run(&[("cold", COLD, COLD, 200), ("warm", WARM, met, ttft)], None);
    let of = |change: fn(&mut Saturation)| {
        found(|summary| summary.saturation.values_mut().for_each(change))
    };
    let away = |times, recovery_s, to_the_end| {
        let away = Unreachable { requests: 1_217, times, recovery_s, to_the_end };
        found(move |summary| summary.stages[1].unreachable = Some(away))
    };
    let doubted = |change: fn(&mut StageSummary)| {
        let mut summary = pair(WARM, 10);
        change(&mut summary.stages[0]);
        summary.with_claims()
    };
    let nothing = found(|summary| {
        summary.stages.iter_mut().for_each(|stage| {
            (stage.counts.errors, stage.counts.ok) = (stage.counts.planned, 0);
            stage.errors.insert("http.503".into(), stage.counts.planned);
        });
    });
    let all = [
        pair(WARM, 10),
        pair(WARM, 200),
        pair(CacheState::Unknown, 10),
        in_cells(pair(WARM, 10)),
        in_cells(found(|summary| summary.saturation.clear())),
        in_cells(found(|_| {})),
        cache_run(&flushed, Some(FlushState::Proven)),
        cache_run(&flushed, Some(FlushState::Unproven)),
        cache_run(&failed, Some(FlushState::Failed)),
        found(|_| {}),
        of(|found| found.incomplete = true),
        of(|found| (found.saturated_at, found.sustainable) = (None, None)),
        of(|found| (found.saturated_at, found.held_above) = (None, vec![8.0])),
        of(|found| (found.sustainable, found.held_above) = (None, vec![8.0])),
        of(|found| found.signs = vec![Sign::Flat]),
        of(|found| (found.errors_rise_at, found.p99_rises_at) = (Some(8.0), Some(8.0))),
        of(|found| found.generator_limited = vec![4.0, 8.5]),
        of(|found| (found.unclear, found.needed_s) = (vec![4.0, 8.5], Some(35.0))),
        of(|found| (found.unclear, found.needed_s) = (vec![8.5], None)),
        found(|summary| {
            summary.stages[1].load.iter_mut().for_each(|load| {
                (load.peak_in_flight, load.target_rate) = (Some(3), None);
            });
            summary.stages[1].kind = "concurrency_ramp".into();
        }),
        found(|summary| {
            summary.stages.iter_mut().for_each(|stage| {
                stage.times_from = Origin::Due;
                let paced = Some(Paced { every_ms: 125.0, p99_ms: 1_234.0 });
                stage.load.iter_mut().for_each(|load| load.paced = paced);
            });
        }),
        found(|summary| met(&mut summary.stages, [0, 980])),
        search(Some(Reason::Converged)),
        search(Some(Reason::Wide)),
        search(Some(Reason::Unclear)),
        search(None),
        away(1, Some(1.25), false),
        away(3, Some(1.25), true),
        away(2, None, true),
        doubted(|cold| cold.client.in_one_piece = 7),
        doubted(|cold| cold.client.peak_in_flight = 1_024),
        nothing,
    ];
    let mut seen = std::collections::BTreeSet::new();
    for claim in all.iter().flat_map(|summary| &summary.claims) {
        seen.insert(claim.kind);
        assert_eq!(loose(claim), Vec::<String>::new(), "{claim:#?}");
    }
    let schema = serde_json::to_value(schemars::schema_for!(ClaimKind)).expect("JSON");
    let kinds = schema["oneOf"].as_array().expect("kinds").iter();
    let kinds = kinds.map(|kind| serde_json::from_value(kind["const"].clone()).expect("a kind"));
    let unseen: Vec<ClaimKind> = kinds.filter(|kind| !seen.contains(kind)).collect();
    assert_eq!(unseen, [], "kinds that nothing here says");
}
