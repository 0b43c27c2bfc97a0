//! Several answers in one stream: whose token each is.

use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{DONE, class, client, endpoint, request};
use crate::faulty_server::{FaultyServer, LAST_CHUNK, Step, chunk, stream_head};
use runner::plan::Api;
use runner::record::Exchange;

/// An event with a word of one choice, in chat's or completions' form.
fn word(index: u64, text: &str) -> String {
    let choice = json!({"index": index, "delta": {"content": text}, "text": text});
    format!("data: {}\n\n", json!({"choices": [choice]}))
}

fn finish(index: u64) -> String {
    let choice = json!({"index": index, "delta": {}, "text": "", "finish_reason": "stop"});
    format!("data: {}\n\n", json!({"choices": [choice]}))
}

/// The answer to a request for `n` choices by a server that sends these events, a moment apart.
async fn answer(api: Api, n: u64, events: &[String]) -> Exchange {
    let mut script = vec![Step::Read, Step::Send(stream_head())];
    for event in events {
        script.extend([Step::Send(chunk(event)), Step::Wait(Duration::from_millis(5))]);
    }
    script.push(Step::Send(LAST_CHUNK.to_vec()));
    let server = FaultyServer::script(script);
    let mut endpoint = endpoint(&server.url());
    endpoint.api = api;
    let mut request = request(true);
    request.body.insert("n".into(), n.into());
    let client = client(&endpoint);
    let prepared = client.prepare(&request, "m", "test-1").unwrap();
    client.send(&prepared, &CancellationToken::new()).await
}

#[tokio::test]
async fn every_token_is_stamped_for_its_choice() {
    let together = json!({"choices": [
        {"index": 0, "delta": {"content": "!"}, "text": "!"},
        {"index": 1, "delta": {"content": "?"}, "text": "?"},
    ]});
    for api in [Api::OpenaiChat, Api::OpenaiCompletions] {
        let it = answer(
            api,
            2,
            &[
                word(0, "Hello"),
                word(1, "How"),
                word(1, " do"),
                word(0, " you"),
                word(0, " there"),
                format!("data: {together}\n\n"),
                finish(0),
                finish(1),
                DONE.into(),
            ],
        )
        .await;
        assert_eq!(class(&it), "ok");
        assert_eq!(it.choices, [0, 1, 1, 0, 0, 0, 1], "{it:?}");
        assert_eq!(it.token_ns.len(), 7);
        assert_eq!(it.text, "Hello you there!How do?", "each is read as a whole");
        assert_eq!(it.first_content_to, Some("Hello you there!".len()));
    }
}

#[tokio::test]
async fn one_choice_has_no_choices_whatever_a_server_counts() {
    let events: Vec<_> = (0..3).map(|index| word(index, "a ")).collect();
    let it = answer(Api::OpenaiCompletions, 1, &[events, vec![finish(3)]].concat()).await;
    assert_eq!((class(&it).as_str(), it.choices.len(), it.token_ns.len()), ("ok", 0, 3));
}

#[tokio::test]
async fn a_choice_that_nobody_asked_for_is_nobodys() {
    let events = [word(0, "a"), word(7, "b"), word(400, "c"), DONE.into()];
    assert_eq!(answer(Api::OpenaiChat, 2, &events).await.choices, [0, 255, 255]);
}

#[tokio::test]
async fn a_stream_that_ends_before_each_choice_did_was_cut() {
    let cut = [word(0, "a"), word(1, "b"), finish(0)];
    let it = answer(Api::OpenaiChat, 2, &cut).await;
    assert_eq!(class(&it), "stream.truncated");
    let whole = [cut.to_vec(), vec![finish(1)]].concat();
    assert_eq!(class(&answer(Api::OpenaiChat, 2, &whole).await), "ok");
}
