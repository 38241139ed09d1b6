//! What every repository must do. Each test takes an empty one.

use std::{rc::Rc, time::Duration};

use futures_util::future::join_all;
use helios_infrastructure::{
    model::{JobState, JobStatus, LogEntry, Logs, WorkerResult},
    orchestrator::{JobExecutionOptions, JobExecutor, JobManager, JobManagerOptions},
    repository::JobRepository,
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::support::{Scripted, Silence, Spawner, fields, job, record, text};

fn full(id: &str) -> Value {
    json!({
        "id": id,
        "spec": { "id": "own", "chunks": [{ "id": 7, "own": { "deep": [1, null, "ü"] } }], "own": true },
        "state": "running",
        "progress": 50,
        "totalChunks": 2,
        "completedChunks": 1,
        "createdAt": 1_700_000_000_000_i64,
        "updatedAt": 1_700_000_000_001_i64,
        "metrics": { "totalDurationMs": 2.5, "own": 1 },
        "meta": { "jobDefUrl": "s3://job.json", "own": 2 },
        "logs": [{ "chunkId": 7, "durationMs": 2.5, "stdout": "\u{1f3ac}\n", "stderr": "", "own": 3 }],
        "own": { "field": "\"quoted\"\u{2028}" },
    })
}

async fn saved(repository: &dyn JobRepository, fields: &Value) -> JobStatus {
    let record = record(fields);
    repository.save(&record).await.unwrap();
    record
}

async fn stored(repository: &dyn JobRepository, id: &str) -> Option<String> {
    repository.get(id).await.unwrap().map(|record| text(&record))
}

async fn listed(repository: &dyn JobRepository) -> Vec<String> {
    let mut ids: Vec<_> = repository.list().await.unwrap().into_iter().map(|job| job.id).collect();
    ids.sort();
    ids
}

/// `get` gives what was saved, with what this version knows nothing of.
pub async fn what_was_saved_is_given_back(repository: &dyn JobRepository) {
    let record = saved(repository, &full("a")).await;
    assert_eq!(stored(repository, "a").await, Some(text(&record)));
    let list = repository.list().await.unwrap();
    assert_eq!(list.iter().map(text).collect::<Vec<_>>(), [text(&record)]);
}

/// Fields that are not there stay away.
pub async fn thin_record_stays_thin(repository: &dyn JobRepository) {
    saved(repository, &json!({ "id": "a", "state": "pending" })).await;
    let expected = "{\n  \"id\": \"a\",\n  \"state\": \"pending\"\n}";
    assert_eq!(stored(repository, "a").await.as_deref(), Some(expected));
}

/// A job that was never saved is `None`, missing, and deleted already.
pub async fn unknown_job_is_nowhere(repository: &dyn JobRepository) {
    assert_eq!(stored(repository, "nobody").await, None);
    assert_eq!(listed(repository).await, Vec::<String>::new());
    repository.delete("nobody").await.unwrap();
}

/// `save` replaces the whole record.
pub async fn saving_again_leaves_nothing_of_the_old_record(repository: &dyn JobRepository) {
    saved(repository, &full("a")).await;
    let last = saved(repository, &json!({ "id": "a", "state": "completed" })).await;
    assert_eq!(stored(repository, "a").await, Some(text(&last)));
    assert_eq!(listed(repository).await, ["a"]);
}

/// `delete` removes one record.
pub async fn deleting_leaves_the_others_alone(repository: &dyn JobRepository) {
    for id in ["a", "b", "c"] {
        saved(repository, &full(id)).await;
    }
    repository.delete("b").await.unwrap();
    assert_eq!(
        (stored(repository, "b").await, listed(repository).await.join(" ")),
        (None, "a c".into())
    );
    repository.delete("b").await.unwrap();
}

/// A deleted job can be saved again.
pub async fn deleted_job_can_come_back(repository: &dyn JobRepository) {
    saved(repository, &full("a")).await;
    repository.delete("a").await.unwrap();
    let record = saved(repository, &json!({ "id": "a" })).await;
    assert_eq!(stored(repository, "a").await, Some(text(&record)));
}

/// What is changed outside does not change what is stored.
pub async fn records_are_copies(repository: &dyn JobRepository) {
    let mut own = saved(repository, &full("a")).await;
    let before = text(&own);
    let change = |record: &mut JobStatus| {
        record.state = Some(JobState::Failed);
        let entry = LogEntry::new(
            helios_infrastructure::model::ChunkId::new(8.0),
            1.0,
            "".into(),
            "".into(),
        );
        record.logs.get_or_insert_with(Logs::default).push(entry);
        record.spec = None;
    };
    change(&mut own);
    change(&mut repository.get("a").await.unwrap().unwrap());
    change(&mut repository.list().await.unwrap()[0]);
    assert_eq!(stored(repository, "a").await, Some(before));
}

/// Ids are names, not patterns or paths: whatever a file may be called is one.
pub async fn ids_may_be_any_plain_names(repository: &dyn JobRepository) {
    let mut ids = ["a b", "ü", "a.json", ".hidden", "a'\"$*?~", "-rf", "a\nb", "..a", "a..", "A"];
    for id in ids {
        saved(repository, &json!({ "id": id, "own": id })).await;
    }
    for id in ids {
        let expected = record(&json!({ "id": id, "own": id }));
        assert_eq!(stored(repository, id).await, Some(text(&expected)));
    }
    ids.sort_unstable();
    assert_eq!(listed(repository).await, ids);
}

/// Saves of one job follow each other in the order in which they were asked for.
pub async fn last_of_many_saves_at_once_is_stored(repository: &dyn JobRepository) {
    let records: Vec<JobStatus> = (0..30)
        .map(|index| record(&json!({ "id": "a", "own": "x".repeat(30_000 - index * 1000) })))
        .collect();
    for saved in join_all(records.iter().map(|record| repository.save(record))).await {
        saved.unwrap();
    }
    assert_eq!(stored(repository, "a").await, records.last().map(text));
}

/// Jobs do not get into each other's way.
pub async fn many_jobs_are_saved_at_once(repository: &dyn JobRepository) {
    let ids: Vec<String> = (100..200).map(|id| id.to_string()).collect();
    let records: Vec<JobStatus> = ids.iter().map(|id| record(&full(id))).collect();
    for saved in join_all(records.iter().map(|record| repository.save(record))).await {
        saved.unwrap();
    }
    assert_eq!(listed(repository).await, ids);
    for record in &records {
        assert_eq!(stored(repository, &record.id).await, Some(text(record)));
    }
}

/// A manager's jobs are kept from their submission to their end, and forgotten when they are deleted.
pub async fn managed_job_is_kept_and_forgotten(repository: Rc<dyn JobRepository>) {
    let (last, go) = (Rc::new(Notify::new()), Rc::new(Notify::new()));
    let (reached, goes) = (Rc::clone(&last), Rc::clone(&go));
    let adapter = Scripted::new(move |id, _| {
        let (reached, goes) = (Rc::clone(&reached), Rc::clone(&goes));
        async move {
            if id == 3 {
                reached.notify_one();
                goes.notified().await;
            }
            Ok(WorkerResult {
                stdout: format!("chunk {id}").into(),
                duration_ms: 2.0,
                ..WorkerResult::default()
            })
        }
    });
    let executor = Rc::new(JobExecutor::new(adapter, Rc::new(Silence)));
    let manager = JobManager::new(
        Rc::clone(&repository),
        executor,
        None,
        Rc::new(Silence),
        Rc::new(Spawner),
        JobManagerOptions::default(),
    );
    let id = manager.submit_job((*job(3)).clone(), JobExecutionOptions::default()).await.unwrap();
    last.notified().await;
    let running = repository.get(&id).await.unwrap().unwrap();
    assert!(matches!(running.state, Some(JobState::Pending | JobState::Running)));
    go.notify_one();
    let ended =
        || async { repository.get(&id).await.unwrap().unwrap().state == Some(JobState::Completed) };
    tokio::time::timeout(Duration::from_secs(30), async {
        while !ended().await {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let record = repository.get(&id).await.unwrap().unwrap();
    let fields = fields(&record);
    let log = |id| json!({ "chunkId": id, "durationMs": 2, "stdout": format!("chunk {id}"), "stderr": "" });
    assert_eq!(fields["logs"], json!([log(1), log(2), log(3)]));
    assert_eq!(fields["metrics"], json!({ "totalDurationMs": 6 }));
    assert_eq!(fields["spec"].to_string(), *job(3).json().unwrap());
    manager.delete_job(&id).await.unwrap();
    assert_eq!(listed(&*repository).await, Vec::<String>::new());
}
