//! What a person watches while the run goes on.

use std::path::Path;

use runner::executor::progress::board::Board;
use runner::executor::progress::screen::{Place, draw};
use runner::plan::{LoadOptions, load};
use runner::record::{Line, Record};

use super::fixture::*;

fn board() -> Board {
    let plan = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/cache-eviction.yaml");
    Board::new(&load(&plan, &LoadOptions::default()).expect("a plan").plan)
}

const PLACE: Place = Place { width: 120, height: 36, colour: false };

#[test]
fn a_screen_fits_every_terminal_at_every_moment() {
    let sizes = [(0, 0), (1, 1), (20, 5), (80, 24), (120, 36), (300, 80)];
    let mut board = board();
    for line in std::iter::once(None).chain(lines().into_iter().map(Some)) {
        if let Some(line) = line {
            board.observe(&line);
        }
        for (width, height) in sizes {
            for colour in [false, true] {
                let rows = draw(&board, Place { width, height, colour });
                assert!(rows.len() <= height, "{} rows in {height}", rows.len());
                for row in rows.iter().filter(|_| !colour) {
                    assert!(row.chars().count() <= width, "{width}: {row}");
                }
            }
        }
    }
}

#[test]
fn a_screen_tells_stages_rates_times_and_errors_as_they_happen() {
    let mut board = board();
    let mut seen = Vec::new();
    for line in lines() {
        board.observe(&line);
        if matches!(line, Line::StageEnd(_)) {
            seen.push(draw(&board, PLACE).join("\n"));
        }
    }
    assert!(seen[0].contains("✓ cold") && !seen[0].contains("✓ warm"), "{}", seen[0]);
    assert!(seen[1].contains("8/8") && seen[1].contains("TTFT of each answer"), "{}", seen[1]);
    assert!(seen[2].contains("flush proven"), "{}", seen[2]);
    assert!(seen[3].contains("http.503 ×1") && seen[3].contains("1 failed"), "{}", seen[3]);
    assert!(seen[3].contains("Ctrl-C"), "{}", seen[3]);
}

#[test]
fn stages_side_by_side_are_told_apart_and_strange_names_shown_as_text() {
    let mut board = board();
    let hostile = "a\u{1b}[2J";
    let start = |id: &str| match stage_start("cold", 4, runner::record::CacheState::Cold, vec![]) {
        Line::StageStart(line) => {
            Line::StageStart(runner::record::StageStart { stage: id.into(), ..line })
        }
        other => other,
    };
    for line in [start(hostile), start("b")] {
        board.observe(&line);
    }
    let ended = |id: &str, index| {
        Line::End(Box::new(Record { stage: id.into(), ..answer("cold", index, 9000, 0) }))
    };
    for line in [ended(hostile, 0), ended("b", 0), ended(hostile, 1)] {
        board.observe(&line);
    }
    let screen = draw(&board, PLACE).join("\n");
    assert!(!screen.contains('\u{1b}'), "{screen}");
    assert!(screen.contains("2/4") && screen.contains("1/4"), "{screen}");
    let done: Vec<u64> = board.stages.iter().map(|stage| stage.done).collect();
    assert_eq!(done, [2, 1]);
}

#[test]
fn what_is_left_is_reckoned_from_the_pace_so_far() {
    let mut board = board();
    let all = lines();
    for line in all.iter().take(9) {
        board.observe(line);
    }
    let cold = board.current().expect("it runs");
    assert_eq!(cold.done, 4);
    let (taken, left) = (cold.seconds(board.now_ns), cold.seconds_left(board.now_ns));
    assert!((left.expect("half of it is done") - taken).abs() < 1e-9);
    assert!(cold.histogram().is_some());
}
