//! Faults that belong to a whole process: each runs in a child of its own.

use std::process::Command;

use super::{class, client, endpoint, exchange, hello, send};
use crate::faulty_server::{FaultyServer, Step, chunk, stream, stream_head};

/// Set in children.
const CHILD: &str = "RUNNER_TEST_CHILD";

/// Whether this process is the child; otherwise runs the named test in one, below `limit` file
/// descriptors, and checks that it passes.
fn in_child(test: &str, limit: &str, environment: &[(&str, &str)]) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let run =
        format!("ulimit -n {limit} && exec \"$0\" --exact client::process::{test} --nocapture");
    let output = Command::new("sh")
        .args(["-c", &run])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, "1")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("1 passed"), "no such test: {printed}");
    false
}

// Row 6.
#[tokio::test]
async fn out_of_file_descriptors_is_fd_limit_and_passes() {
    if !in_child("out_of_file_descriptors_is_fd_limit_and_passes", "64", &[]) {
        return;
    }
    let server = FaultyServer::script(vec![Step::Read, Step::Send(stream(&hello()))]);
    let client = client(&endpoint(&server.url()));
    let mut held = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        held.push(file);
    }
    let it = send(&client).await;
    assert_eq!(class(&it), "connect.fd_limit", "{it:?}");
    assert!(it.error_message.unwrap().contains("ulimit -n"));
    drop(held);
    assert_eq!(class(&send(&client).await), "ok", "the client recovers");
}

// Row 10.
#[tokio::test]
async fn proxy_variables_are_ignored() {
    let dead = "http://127.0.0.1:9";
    let variables = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"].map(|name| (name, dead));
    if !in_child("proxy_variables_are_ignored", "1024", &variables) {
        return;
    }
    assert_eq!(std::env::var("http_proxy").as_deref(), Ok(dead));
    let server = FaultyServer::script(vec![Step::Read, Step::Send(stream(&hello()))]);
    assert_eq!(class(&exchange(&endpoint(&server.url())).await), "ok");
}

// Row 12.
#[tokio::test]
async fn failed_requests_leave_no_descriptor_behind() {
    if !in_child("failed_requests_leave_no_descriptor_behind", "512", &[]) {
        return;
    }
    let open = || std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let server = FaultyServer::scripts(
        (0..400)
            .map(|i| match i % 3 {
                0 => vec![Step::Read],
                1 => vec![Step::Read, Step::Send([stream_head(), chunk("data: {\n\n")].concat())],
                _ => vec![Step::Read, Step::Send(stream_head()), Step::Reset],
            })
            .collect(),
    );
    let client = client(&endpoint(&server.url()));
    send(&client).await;
    let before = open();
    for _ in 0..399 {
        assert_ne!(class(&send(&client).await), "ok");
    }
    // Closing is done by tasks and threads; give them a moment.
    for _ in 0..100 {
        if open() <= before + 5 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{before} descriptors before, {} after", open());
}
