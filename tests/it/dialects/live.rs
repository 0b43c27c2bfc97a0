//! Dialects against a living server, named by the environment: `RUNNER_LIVE_URL` (with `/v1`) and
//! `RUNNER_LIVE_APIS` (names with commas). What it says is printed for people to look at.

use runner::client::Client;
use runner::plan::Api;
use runner::record::RunClock;
use tokio_util::sync::CancellationToken;

use crate::client::{class, endpoint, request};

#[tokio::test]
#[ignore = "needs a server: RUNNER_LIVE_URL and RUNNER_LIVE_APIS"]
async fn a_living_server_answers_in_every_dialect_it_speaks() {
    let variable = |name| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let url = variable("RUNNER_LIVE_URL").parse().unwrap();
    for name in variable("RUNNER_LIVE_APIS").split(',') {
        let mut endpoint = endpoint(&url);
        endpoint.api = Api::of_name(name).unwrap_or_else(|| panic!("no API is named {name}"));
        let client = Client::new(&endpoint, &url, RunClock::start_now()).unwrap();
        for stream in [true, true, false] {
            let prepared = client.prepare(&request(stream), "any", "live-1").unwrap();
            let it = client.send(&prepared, &CancellationToken::new()).await;
            let counts = [it.input_tokens, it.output_tokens, it.cached_tokens];
            eprintln!(
                "{name} stream={stream}: {} {} events, {counts:?}, {:?}, {:?}, {:?} {:?}",
                class(&it),
                it.token_ns.len(),
                it.finish_reason,
                it.flags,
                it.timings,
                it.text,
            );
            assert_eq!(class(&it), "ok", "{name}: {:?}\n{:?}", it.error_message, it.raw);
            assert!(!it.text.is_empty() && stream != it.token_ns.is_empty(), "{name}");
        }
    }
}
