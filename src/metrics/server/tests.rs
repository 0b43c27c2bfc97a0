//! The page of a server, and what becomes of its readings.

use std::fmt::Write as _;

use super::*;

fn line(counters: &[(&str, f64)], gauges: &[(&str, f64)]) -> ServerLine {
    let values = |list: &[(&str, f64)]| {
        list.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    };
    ServerLine {
        endpoint: "e".into(),
        at_ns: 0,
        counters: values(counters),
        gauges: values(gauges),
        ..ServerLine::default()
    }
}

/// Values by name.
type Named = &'static [(&'static str, f64)];

/// Whether a counter or share is what it should be.
fn is(value: f64, expected: f64) -> bool {
    (value - expected).abs() < 1e-9
}

#[test]
fn old_and_new_names_of_every_server_are_read_in_our_words() {
    let rows: [(&str, Named, Named); 5] = [
        (
            "vllm:prefix_cache_queries_total{engine=\"0\"} 100\n\
             vllm:prefix_cache_queries_total{engine=\"1\"} 50\n\
             vllm:prefix_cache_hits_total{engine=\"0\"} 30\n\
             vllm:num_requests_running 2\nvllm:num_requests_waiting 1\n\
             vllm:kv_cache_usage_perc{engine=\"0\"} 0.5\n\
             vllm:kv_cache_usage_perc{engine=\"1\"} 0.1\nvllm:num_preemptions_total 4\n\
             vllm:request_queue_time_seconds_sum 1.5\nvllm:request_queue_time_seconds_count 3\n",
            &[
                ("prefix_cache_queries", 150.0),
                ("prefix_cache_hits", 30.0),
                ("preemptions", 4.0),
                ("queue_seconds", 1.5),
                ("queue_requests", 3.0),
            ],
            &[("running", 2.0), ("waiting", 1.0), ("kv_usage", 0.3)],
        ),
        (
            "vllm:gpu_prefix_cache_queries 9\nvllm:gpu_prefix_cache_hits 8\n\
             vllm:gpu_cache_usage_perc 0.25\n",
            &[("prefix_cache_queries", 9.0), ("prefix_cache_hits", 8.0)],
            &[("kv_usage", 0.25)],
        ),
        (
            "sglang:num_running_reqs 3\nsglang:num_queue_reqs 4\nsglang:token_usage 0.5\n\
             sglang:prompt_tokens_total 100\n\
             sglang:cached_tokens_total{cache_source=\"device\"} 40\n\
             sglang:evicted_tokens_total 7\n",
            &[
                ("prefix_cache_queries", 100.0),
                ("prefix_cache_hits", 40.0),
                ("prompt_tokens", 100.0),
                ("evicted_tokens", 7.0),
            ],
            &[("running", 3.0), ("waiting", 4.0), ("kv_usage", 0.5)],
        ),
        (
            "llamacpp:prompt_tokens_total 60\nllamacpp:prompt_tokens_cached_total 40\n\
             llamacpp:prompt_seconds_total 1.5\nllamacpp:requests_processing 1\n\
             llamacpp:requests_deferred 0\nllamacpp:tokens_predicted_total 5\n",
            &[
                ("prefix_cache_queries", 100.0),
                ("prefix_cache_hits", 40.0),
                ("prompt_tokens", 100.0),
                ("prefill_seconds", 1.5),
                ("generation_tokens", 5.0),
            ],
            &[("running", 1.0), ("waiting", 0.0)],
        ),
        (
            "tgi_queue_size 2\ntgi_batch_current_size 3\ntgi_request_success 5\n\
             tgi_request_queue_duration_sum 0.5\ntgi_request_queue_duration_count 5\n",
            &[("requests", 5.0), ("queue_seconds", 0.5), ("queue_requests", 5.0)],
            &[("running", 3.0), ("waiting", 2.0)],
        ),
    ];
    for (page, counters, gauges) in rows {
        let Reading { counters: read_counters, gauges: read_gauges, .. } = read(page, SERVER, &[]);
        for (name, value) in counters {
            let own = read_counters.iter().filter(|(key, _)| key.split('{').next() == Some(*name));
            assert!(is(own.map(|(_, value)| value).sum(), *value), "{name} of {page}");
        }
        for (name, value) in gauges {
            assert_eq!(read_gauges.get(*name), Some(value), "{name} of {page}");
        }
    }
    // An older llama.cpp says nothing of cached tokens: what it counts is not the whole prompt.
    let Reading { counters, .. } = read("llamacpp:prompt_tokens_total 60\n", SERVER, &[]);
    assert_eq!(counters.get("prefix_cache_queries"), None);
    assert_eq!(counters.get("prompt_tokens"), None);
}

#[test]
fn any_other_metric_is_read_by_its_name() {
    let page = "# TYPE app_hits counter\napp_hits{a=\"1\"} 2\napp_hits{a=\"2\"} 3\n\
                app_depth 7\napp_sum_sum 1\n";
    let watched = ["app_hits", "app_depth", "app_sum_sum", "gone"].map(str::to_owned);
    let Reading { counters, gauges, .. } = read(page, SERVER, &watched);
    let hits = |n: u8| format!("app_hits{{a=\"{n}\"}}");
    let expected = [(hits(1), 2.0), (hits(2), 3.0), ("app_sum_sum".into(), 1.0)];
    assert_eq!(counters, expected.into());
    assert_eq!(gauges, [("app_depth".into(), 7.0)].into());
}

#[test]
fn counters_are_told_by_growth_and_restarts_are_bridged() {
    let mut tally = ServerTally::default();
    assert_eq!(tally.summary(), None);
    let hits = |at, of| [("prefix_cache_hits", at), ("prefix_cache_queries", of)];
    tally.take(&line(&hits(100.0, 1000.0), &[("running", 0.0)]));
    assert_eq!(tally.growth("prefix_cache_hits"), None, "one reading is no growth");
    tally.take(&line(&hits(150.0, 1100.0), &[("running", 4.0)]));
    let restarted = [hits(10.0, 40.0).as_slice(), &[("preemptions", 2.0)]].concat();
    tally.take(&line(&restarted, &[("running", 2.0)]));
    tally.take(&line(&[("prefix_cache_hits", 10.0)], &[]));
    let summary = tally.summary().unwrap();
    assert_eq!((summary.readings, summary.resets), (4, 1));
    assert!(is(summary.counters["prefix_cache_hits"], 60.0));
    assert!(is(summary.counters["prefix_cache_queries"], 140.0));
    assert!(is(summary.counters["preemptions"], 2.0), "it began with the server");
    assert_eq!(summary.gauges["running"], Gauge { mean: 2.0, max: 4.0, last: 2.0 });
    let share = summary.prefix_hit_share.unwrap();
    assert!(is(share, 60.0 / 140.0));
}

#[test]
fn a_reading_that_lacks_a_counter_leaves_its_value() {
    let mut tally = ServerTally::default();
    let queries = |at| ("prefix_cache_queries", at);
    tally.take(&line(&[("prefix_cache_hits", 40_000.0), queries(50_000.0)], &[]));
    tally.take(&line(&[queries(50_100.0)], &[]));
    tally.take(&line(&[("prefix_cache_hits", 40_030.0), queries(50_200.0)], &[]));
    // One that no reading before had may have counted for long.
    tally.take(&line(&[("preemptions", 900.0), queries(50_300.0)], &[]));
    tally.take(&line(&[("preemptions", 902.0), queries(50_300.0)], &[]));
    let summary = tally.summary().unwrap();
    assert!(is(summary.counters["prefix_cache_hits"], 30.0));
    assert!(is(summary.prefix_hit_share.unwrap(), 0.1));
    assert!(is(summary.counters["preemptions"], 2.0));
    assert_eq!(summary.resets, 0);
}

#[test]
fn each_label_set_is_followed_by_itself() {
    let page = |one: &str, other: &str| {
        let row = |engine: u8, value: &str| match value {
            "" => String::new(),
            _ => format!("vllm:prefix_cache_hits_total{{engine=\"{engine}\"}} {value}\n"),
        };
        let Reading { counters, .. } = read(&(row(0, one) + &row(1, other)), SERVER, &[]);
        ServerLine { counters, ..line(&[], &[]) }
    };
    let mut tally = ServerTally::default();
    for (one, other) in
        [("500", "1000"), ("510", ""), ("NaN", "1010"), ("5", "1020"), ("6", "+Inf")]
    {
        tally.take(&page(one, other));
    }
    // Engine 0: 10, a restart, 5, 1. Engine 1: 10 over a gap, 10.
    assert!(is(tally.growth("prefix_cache_hits").unwrap(), 36.0));
    assert_eq!(tally.resets(), 1);
}

#[test]
fn a_label_set_that_appears_while_another_begins_anew_is_not_counted_from_zero() {
    let mut tally = ServerTally::default();
    for (hits, queries) in [
        (vec![(0, 500.0)], vec![(0, 900.0)]),
        // Engine 0 begins anew. Engine 1, which the page lacked before, has run for long; what
        // engine 0 counts besides began with it.
        (vec![(0, 5.0), (1, 70_000.0)], vec![(0, 9.0), (1, 90_000.0)]),
        (vec![(0, 6.0), (1, 70_001.0)], vec![(0, 11.0), (1, 90_002.0)]),
    ] {
        let row = |name: &str, (engine, value): (u8, f64)| {
            format!("vllm:prefix_cache_{name}_total{{engine=\"{engine}\"}} {value}\n")
        };
        let hits = hits.into_iter().map(|it| row("hits", it));
        let queries = queries.into_iter().map(|it| row("queries", it));
        let page: String = hits.chain(queries).collect();
        let counters = read(&page, SERVER, &[]).counters;
        tally.take(&ServerLine { counters, ..line(&[], &[]) });
    }
    assert_eq!(tally.prefix_cache(), Some(Ok((7.0, 13.0))));
    assert_eq!(tally.resets(), 1);
}

/// Readings of `engines` engines' counter: each grows, is missing at times, and begins anew at times.
/// Beside them what it grew by, told from each engine's own course alone, and whether any of them
/// was seen to begin anew.
fn courses(engines: u64, readings: u64) -> (Vec<String>, f64, bool) {
    let chance = |of: u64| of.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) % 100;
    let mut pages: Vec<String> = (0..readings).map(|_| String::new()).collect();
    let (mut grown, mut has_begun) = (0.0, false);
    for engine in 0..engines {
        let (mut value, mut seen) = (1_000.0 * engine as f64, None::<f64>);
        for (reading, page) in (0_u64..).zip(&mut pages) {
            let draw = chance(engine * readings + reading + 1);
            value = if draw < 3 { 1.0 } else { value + draw as f64 };
            if (80..95).contains(&draw) {
                continue;
            }
            writeln!(page, "app_total{{engine=\"{engine}\",pod=\"p{}\"}} {value}", engine % 7)
                .unwrap();
            let began = seen.is_some_and(|seen| value < seen);
            grown += seen.map_or(0.0, |seen| if began { value } else { value - seen });
            (seen, has_begun) = (Some(value), has_begun || began);
        }
    }
    (pages, grown, has_begun)
}

#[test]
fn gaps_and_restarts_of_any_label_set_are_bridged_however_many_there_are() {
    for engines in [1, 2, 8, 64, 65, 200, 1024] {
        let (pages, grown, has_begun) = courses(engines, 12);
        let mut tally = ServerTally::default();
        for page in pages {
            let Reading { counters, left_out, .. } = read(&page, SERVER, &["app_total".into()]);
            tally.take(&ServerLine { counters, left_out, ..line(&[], &[]) });
        }
        assert!(is(tally.growth("app_total").unwrap(), grown), "{engines} engines");
        assert_eq!(tally.resets() > 0, has_begun, "{engines} engines");
    }
}

#[test]
fn a_counter_of_more_label_sets_than_are_followed_is_left_out_and_named() {
    let page = |users: u32| -> String {
        let rows: Vec<_> =
            (0..users).map(|user| format!("app_total{{user=\"{user}\"}} 2")).collect();
        rows.join("\n") + "\n"
    };
    let mut tally = ServerTally::default();
    for users in [10, 2_000, 10] {
        let Reading { counters, left_out, .. } = read(
            &(page(users) + "other_total 1\n"),
            SERVER,
            &["app_total".into(), "other_total".into()],
        );
        assert_eq!(counters.len() > 1, users == 10);
        tally.take(&ServerLine { counters, left_out, ..line(&[], &[]) });
    }
    let summary = tally.summary().unwrap();
    assert_eq!(summary.counters, [("other_total".to_owned(), 0.0)].into());
    assert_eq!(summary.resets, 0);
    let doubts = summary.doubts("s");
    assert!(doubts.len() == 1 && doubts[0].contains("app_total"), "{doubts:?}");
}

#[test]
fn more_hits_than_queries_is_no_share() {
    let mut tally = ServerTally::default();
    for (hits, queries) in [(0.0, 0.0), (300.0, 100.0)] {
        tally.take(&line(&[("prefix_cache_hits", hits), ("prefix_cache_queries", queries)], &[]));
    }
    assert_eq!(tally.prefix_cache(), Some(Err((300.0, 100.0))));
    assert_eq!(tally.summary().unwrap().prefix_hit_share, None);
}

#[test]
fn a_reading_that_failed_is_counted_and_changes_nothing() {
    let mut tally = ServerTally::default();
    tally.take(&line(&[("requests", 1.0)], &[]));
    let error = Some("HTTP 500".to_owned());
    tally.take(&ServerLine { error, ..line(&[], &[]) });
    tally.take(&line(&[("requests", 3.0)], &[]));
    let summary = tally.summary().unwrap();
    assert_eq!((summary.readings, summary.failed), (2, 1));
    assert!(is(summary.counters["requests"], 2.0));
}

#[test]
fn the_size_of_blocks_is_read_from_a_label() {
    let read = |page: &str| read(page, SERVER, &[]).gauges.get(BLOCK_TOKENS).copied();
    let vllm = "vllm:cache_config_info{block_size=\"32\",cache_dtype=\"auto\"} 1.0\n";
    assert_eq!(read(vllm), Some(32.0));
    assert_eq!(read("sglang:cache_config_info{page_size=\"1\"} 1\n"), Some(1.0));
    assert_eq!(read("vllm:cache_config_info{block_size=\"None\"} 1\n"), None);
    assert_eq!(read("vllm:num_requests_running 1\n"), None);
}
