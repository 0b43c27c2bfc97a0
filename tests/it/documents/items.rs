//! Items of the responses API, and bodies of the plan's own making.

use runner::client::dialect;
use runner::plan::{Api, JsonApi};
use runner::request::{Message, Request};
use serde_json::{Value, json};

use super::asked;

fn encoded(api: &Api, request: &Request) -> Result<Value, String> {
    let http =
        dialect::of(api).encode(request, "m").map_err(|it| format!("{}: {}", it.part, it.why))?;
    Ok(serde_json::from_slice(&http.body).unwrap())
}

#[test]
fn items_without_a_role_go_out_as_they_are_or_as_calls_and_results() {
    let call = |id: &str| {
        json!({"type": "function_call", "id": format!("fc_{id}"), "status": "completed",
            "call_id": id, "name": "depth", "arguments": "{\"at\":\"weir\"}"})
    };
    let result = |id: &str| json!({"type": "function_call_output", "call_id": id, "output": "2 m"});
    let items = json!([
        {"role": "user", "content": "How deep?"},
        call("c1"), call("c2"), result("c1"), result("c2"),
        {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": "Two.", "annotations": []}]},
        {"role": "user", "content": "And now?"},
    ]);
    let reasoning =
        json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"});
    let mut reasoned = items.as_array().unwrap().clone();
    reasoned.insert(1, reasoning);
    let row = |input: &Value| json!({"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": {"input": input}});
    let requests = asked(&[row(&items), row(&json!(reasoned)), row(&json!([items[0], items[1]]))]);
    let responses = Api::OpenaiResponses;
    let mut right = items.clone();
    // That an item is a message goes without saying.
    right[5].as_object_mut().unwrap().remove("type");
    assert_eq!(encoded(&responses, &requests[0]).unwrap()["input"], right);
    assert_eq!(encoded(&responses, &requests[1]).unwrap()["input"][1], reasoned[1]);
    assert_eq!(requests[2].messages.len(), 1, "a last call is the recorded answer");

    // The answer's id and state have no place in a chat.
    let refused = encoded(&Api::AnthropicMessages, &requests[0]).unwrap_err();
    assert!(refused.contains("id"), "{refused}");
    let plain = asked(&[row(&json!([items[0], items[1], items[2], items[3], items[4], items[6]]))]);
    let chat = encoded(&Api::OpenaiChat, &plain[0]).unwrap();
    let function = json!({"name": "depth", "arguments": "{\"at\":\"weir\"}"});
    let called = |id: &str| json!({"id": id, "type": "function", "function": function});
    assert_eq!(
        chat["messages"],
        json!([
            {"role": "user", "content": "How deep?"},
            {"role": "assistant", "content": null, "tool_calls": [called("c1"), called("c2")]},
            {"role": "tool", "content": "2 m", "tool_call_id": "c1"},
            {"role": "tool", "content": "2 m", "tool_call_id": "c2"},
            {"role": "user", "content": "And now?"},
        ])
    );
    let anthropic = encoded(&Api::AnthropicMessages, &plain[0]).unwrap();
    assert_eq!(anthropic["messages"][1]["content"][1]["id"], "c2");
    assert_eq!(anthropic["messages"][2]["content"][1]["tool_use_id"], "c2");
    for name in Api::NAMES {
        if name == "openai-responses" {
            continue;
        }
        let refused = encoded(&Api::of_name(name).unwrap(), &requests[1]).unwrap_err();
        assert!(refused.starts_with("messages/1"), "{name}: {refused}");
    }
}

#[test]
fn placeholders_of_a_body_are_typed_and_ids_have_a_place_of_their_own() {
    let template = json!({
        "inputs": { "text": "{{ prompt }}", "ids": "{{ input_ids }}", "none": null, "list": [null] },
        "tools": "{{ tools }}", "limit": "{{ max_tokens }}", "stop": null,
    });
    let api = |body: &Value| {
        let body = body.as_object().cloned();
        Api::Json(Box::new(JsonApi { body, ..JsonApi::default() }))
    };
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let mut request = Request {
        messages: vec![Message::text("user", "Hi")],
        max_tokens: Some(5),
        ..Request::default()
    };
    request.recorded.insert("tools".into(), tools.clone());
    request.recorded.insert("stop".into(), json!(["END"]));
    assert_eq!(
        encoded(&api(&template), &request).unwrap(),
        json!({"inputs": {"text": "Hi", "list": [null]}, "tools": tools, "limit": 5})
    );
    request.messages = vec![Message::ids(vec![7, 9])];
    assert_eq!(
        encoded(&api(&template), &request).unwrap(),
        json!({"inputs": {"ids": [7, 9], "list": [null]}, "tools": tools, "limit": 5})
    );
    let nowhere = encoded(&api(&json!({"text": "{{ prompt }}"})), &request).unwrap_err();
    assert!(nowhere.contains("tools"), "{nowhere}");
    request.messages = vec![Message::text("user", "Hi")];
    let ids_alone = json!({"ids": "{{ input_ids }}", "tools": "{{ tools }}"});
    let no_text = encoded(&api(&ids_alone), &request).unwrap_err();
    assert!(no_text.contains("none for text"), "{no_text}");
}
