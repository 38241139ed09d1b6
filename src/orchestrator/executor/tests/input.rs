//! What is refused before anything runs.

use super::*;

#[tokio::test]
async fn wrong_chunks_are_refused_before_anything_runs() {
    let good = json!({ "id": 1, "command": "render" });
    for (wrong, message) in [
        (json!({ "id": 1, "command": "other" }), "Chunk 1 appears more than once in the job"),
        (json!({ "command": "render" }), "chunks[1].id must be a number"),
        (json!({ "id": "2", "command": "render" }), "chunks[1].id must be a number"),
        (json!(null), "chunks[1].id must be a number"),
        (json!({ "id": 2 }), "Chunk 2: Command string cannot be empty"),
        (json!({ "id": 2, "command": "" }), "Chunk 2: Command string cannot be empty"),
        (
            json!({ "id": 2.5, "command": "\u{feff} \t" }),
            "Chunk 2.5: Command string cannot be empty",
        ),
        (json!({ "id": 2, "command": " \\ " }), "Chunk 2: Command string cannot be empty"),
    ] {
        let scene = Scene::well();
        let error = scene.error(&spec(&json!({ "chunks": [good, wrong] }))).await;
        assert!(matches!(error, CrateError::InvalidInput(_)), "{error:?}");
        assert_eq!(error.to_string(), message);
        assert_eq!((scene.adapter.started(), scene.lines()), (vec![], vec![]), "{message}");
    }
}

#[tokio::test]
async fn zeros_of_both_signs_are_one_id() {
    let text = r#"{"chunks":[{"id":0,"command":"a"},{"id":-0,"command":"b"}]}"#;
    let job = Rc::new(JsonSpec::parse(text.into()).unwrap());
    let error = Scene::well().error(&job).await.to_string();
    assert_eq!(error, "Chunk 0 appears more than once in the job");
}

#[tokio::test]
async fn chunk_that_is_done_needs_no_command() {
    let mut scene = Scene::well();
    scene.options.completed = ids(&[2]);
    let chunks = json!([{ "id": 1, "command": "render" }, { "id": 2 }]);
    scene.run(&spec(&json!({ "chunks": chunks }))).await.unwrap();
    assert_eq!(scene.adapter.started(), ["1"]);
}

#[tokio::test]
async fn duplicate_of_a_chunk_that_is_done_is_refused_too() {
    let mut scene = Scene::well();
    scene.options.completed = ids(&[1]);
    let error = scene.error(&job(&[1, 2, 1])).await.to_string();
    assert_eq!(error, "Chunk 1 appears more than once in the job");
}

#[tokio::test]
async fn wrong_chunk_is_named_also_when_the_job_is_aborted() {
    let scene = Scene::well();
    scene.options.abort.token.cancel();
    let error = scene.error(&job(&[1, 1])).await.to_string();
    assert_eq!(error, "Chunk 1 appears more than once in the job");
}
