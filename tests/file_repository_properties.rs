//! `FileJobRepository` with random records, random ids, and random writers at the same time.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    collections::{HashMap, HashSet},
    fmt::Write,
    path::Path,
};

use futures_util::future::join_all;
use helios_infrastructure::{
    Error,
    model::{JobState, JobStatus},
    repository::{FileJobRepository, FileJobRepositoryOptions, JobRepository},
};
use proptest::prelude::*;

/// A JSON value as `JSON.stringify` knows it: numbers are JavaScript's, objects keep their order. Texts are quoted
/// already, since JavaScript's may hold halves of characters.
#[derive(Clone, Debug)]
enum Json {
    Literal(&'static str),
    Number(f64),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Json {
    /// `JSON.stringify(value, null, 2)`.
    fn pretty(&self) -> String {
        let mut out = String::new();
        self.write(1, &mut out);
        out
    }

    fn write(&self, depth: usize, out: &mut String) {
        let mut all = |open, items: Vec<(String, &Self)>, close| {
            out.push(open);
            for (index, (name, item)) in items.iter().enumerate() {
                let comma = if index > 0 { "," } else { "" };
                write!(out, "{comma}\n{}{name}", "  ".repeat(depth)).unwrap();
                item.write(depth + 1, out);
            }
            if !items.is_empty() {
                write!(out, "\n{}", "  ".repeat(depth - 1)).unwrap();
            }
            out.push(close);
        };
        match self {
            Self::Literal(text) => out.push_str(text),
            Self::Number(number) => out.push_str(ryu_js::Buffer::new().format(*number)),
            Self::Text(text) => out.push_str(text),
            Self::List(items) => {
                all('[', items.iter().map(|item| (String::new(), item)).collect(), ']');
            }
            Self::Object(fields) => {
                let name = |name: &String| format!("{}: ", quoted(name));
                all('{', fields.iter().map(|(key, item)| (name(key), item)).collect(), '}');
            }
        }
    }

    fn text(text: &str) -> Self {
        Self::Text(quoted(text))
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn number() -> impl Strategy<Value = Json> {
    let number = prop_oneof![
        any::<f64>().prop_filter("JSON has no other", |number| number.is_finite()),
        any::<i32>().prop_map(f64::from),
        // Times in milliseconds, as Date.now() and performance.now() give them, and sums of them.
        (0.0..2e12_f64).prop_map(f64::floor),
        0.0..1e6_f64,
        prop::collection::vec(0.0..1e4_f64, 0..9).prop_map(|times| times.iter().sum()),
    ];
    number.prop_map(|number| Json::Number(if number == 0.0 { 0.0 } else { number }))
}

fn text() -> impl Strategy<Value = Json> {
    let half = prop::sample::select(vec!["\\ud83c", "\\udfac", "\\udfac\\ud83c"]);
    prop_oneof![
        4 => ".*".prop_map(|text| Json::text(&text)),
        2 => "[\\x00-\\x7f\u{2028}\u{feff}\u{1f3ac}\"\\\\]*".prop_map(|text| Json::text(&text)),
        1 => half.prop_map(|half| Json::Text(format!("\"{half}\""))),
    ]
}

fn anything() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "true", "false"]).prop_map(Json::Literal),
        number(),
        text(),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::List),
            prop::collection::vec((".*", inner), 0..4).prop_map(|fields| object(fields, vec![])),
        ]
    })
}

/// An object of `typed` fields among others. No name comes twice.
fn object(typed: Vec<(String, Json)>, others: Vec<(String, Json)>) -> Json {
    let mut seen = HashSet::new();
    let fields = typed.into_iter().chain(others);
    Json::Object(fields.filter(|(name, _)| seen.insert(name.clone())).collect())
}

/// An object with some of the given fields, and others, in any order.
fn some_of(fields: Vec<(&'static str, BoxedStrategy<Json>)>) -> BoxedStrategy<Json> {
    let field = |(name, value): (&'static str, BoxedStrategy<Json>)| {
        // What is stored may have been written by somebody with other ideas of the types.
        let value = prop_oneof![8 => value, 1 => anything()];
        prop::option::weighted(0.8, value.prop_map(move |value| (name.to_owned(), value))).boxed()
    };
    let typed: Vec<_> = fields.into_iter().map(field).collect();
    let others = prop::collection::vec((".*", anything()), 0..3);
    (typed, others)
        .prop_map(|(typed, others)| object(typed.into_iter().flatten().collect(), others))
        .prop_flat_map(|object| match object {
            Json::Object(fields) => Just(fields).prop_shuffle().prop_map(Json::Object),
            _ => unreachable!("an object is one"),
        })
        .boxed()
}

fn list(item: BoxedStrategy<Json>) -> BoxedStrategy<Json> {
    prop::collection::vec(prop_oneof![8 => item, 1 => anything()], 0..5)
        .prop_map(Json::List)
        .boxed()
}

fn seen_files() -> BoxedStrategy<Json> {
    let seen = (0..(1_u64 << 53), number()).prop_map(|(size, modified)| {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
        let size = Json::Number(size as f64);
        Json::Object(vec![("size".to_owned(), size), ("modifiedMs".to_owned(), modified)])
    });
    prop::collection::vec((any::<u16>().prop_map(|id| id.to_string()), seen), 0..3)
        .prop_map(|files| object(files, vec![]))
        .boxed()
}

/// The record of a job with the given id.
fn record(id: &'static str) -> BoxedStrategy<Json> {
    let chunk = some_of(vec![
        ("id", number().boxed()),
        ("command", text().boxed()),
        ("outputFile", text().boxed()),
    ]);
    let spec = some_of(vec![
        ("id", text().boxed()),
        ("chunks", list(chunk)),
        ("mergeCommand", text().boxed()),
        ("assetsUrl", text().boxed()),
    ]);
    let log = some_of(vec![
        ("chunkId", number().boxed()),
        ("durationMs", number().boxed()),
        ("stdout", text().boxed()),
        ("stderr", text().boxed()),
    ]);
    let states = vec!["pending", "running", "completed", "failed", "cancelled", "paused", "odd"];
    let state = prop::sample::select(states).prop_map(Json::text).boxed();
    let fields = some_of(vec![
        ("spec", spec),
        ("state", state),
        ("progress", number().boxed()),
        ("totalChunks", number().boxed()),
        ("completedChunks", number().boxed()),
        ("createdAt", number().boxed()),
        ("updatedAt", number().boxed()),
        ("error", text().boxed()),
        ("metrics", some_of(vec![("totalDurationMs", number().boxed())])),
        ("meta", some_of(vec![("jobDefUrl", text().boxed())])),
        ("logs", list(log)),
        ("outputs", seen_files()),
    ]);
    (fields, any::<prop::sample::Index>())
        .prop_map(move |(record, place)| {
            let Json::Object(mut fields) = record else { unreachable!("a record is an object") };
            fields.retain(|(name, _)| name != "id");
            fields.insert(place.index(fields.len() + 1), ("id".to_owned(), Json::text(id)));
            Json::Object(fields)
        })
        .boxed()
}

fn pretty(status: &JobStatus) -> String {
    let mut out = Vec::new();
    status.document().unwrap().write_to(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn repository(folder: &Path, fsync: bool) -> FileJobRepository {
    FileJobRepository::new(folder, FileJobRepositoryOptions { fsync })
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn record_survives_byte_for_byte(record in record("a")) {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(folder.path(), false);
        let text = record.pretty();
        block_on(async {
            repository.save(&JobStatus::parse(&text).unwrap()).await.unwrap();
            prop_assert_eq!(&std::fs::read_to_string(folder.path().join("a.json")).unwrap(), &text);
            let stored = repository.get("a").await.unwrap().unwrap();
            prop_assert_eq!(pretty(&stored), text.as_str());
            let listed = repository.list().await.unwrap();
            prop_assert_eq!(listed.iter().map(pretty).collect::<Vec<_>>(), [text]);
            Ok(())
        })?;
    }

    #[test]
    fn changed_field_changes_nothing_else(record in record("a")) {
        let mut status = JobStatus::parse(&record.pretty()).unwrap();
        status.state = Some(JobState::Failed);
        let Json::Object(mut fields) = record else { unreachable!("a record is an object") };
        match fields.iter_mut().find(|(name, _)| name == "state") {
            Some((_, state)) => *state = Json::text("failed"),
            None => fields.push(("state".to_owned(), Json::text("failed"))),
        }
        prop_assert_eq!(pretty(&status), Json::Object(fields).pretty());
    }

    #[test]
    fn one_line_and_many_say_the_same(record in record("a")) {
        let status = JobStatus::parse(&record.pretty()).unwrap();
        prop_assert_eq!(pretty(&JobStatus::parse(&status.document().unwrap().json()).unwrap()), pretty(&status));
    }

    #[test]
    fn id_that_is_no_plain_name_is_refused_before_anything_is_touched(
        id in prop_oneof![
            Just(String::new()),
            Just(".".to_owned()),
            Just("..".to_owned()),
            ".{0,9}[/\\\\\\x00].{0,9}",
            "\\.\\./[a-z]{1,9}",
        ],
    ) {
        let folder = tempfile::tempdir().unwrap();
        let jobs = folder.path().join("jobs");
        let repository = repository(&jobs, true);
        let status = JobStatus { id: id.clone(), ..JobStatus::default() };
        let outcomes = block_on(async {
            let saved = repository.save(&status).await;
            let got = repository.get(&id).await.map(|_| ());
            [saved, got, repository.delete(&id).await]
        });
        for outcome in outcomes {
            prop_assert!(matches!(outcome, Err(Error::InvalidInput(_))), "{:?}", outcome);
        }
        prop_assert_eq!(names(folder.path()), [""; 0]);
    }
}

/// What a writer does.
#[derive(Clone, Debug)]
enum Act {
    Save { id: usize, size: usize },
    Get { id: usize },
    List,
    Delete { id: usize },
}

const IDS: [&str; 3] = ["a", "b", "c"];

fn act(deleting: bool) -> impl Strategy<Value = Act> {
    let id = || 0..IDS.len();
    let size = prop_oneof![0..10_usize, 0..200_000_usize];
    prop_oneof![
        6 => (id(), size).prop_map(|(id, size)| Act::Save { id, size }),
        3 => id().prop_map(|id| Act::Get { id }),
        1 => Just(Act::List),
        1 => id().prop_map(move |id| if deleting { Act::Delete { id } } else { Act::Get { id } }),
    ]
}

/// What writer number `writer` saves with its act number `index`: unlike anything else that is saved.
fn own_record(writer: usize, index: usize, id: usize, size: usize) -> String {
    let mark = format!("{writer}.{index} ");
    let id = IDS[id];
    format!("{{\n  \"id\": \"{id}\",\n  \"mark\": \"{mark}{}\"\n}}", "x".repeat(size))
}

/// Lets all writers do their acts at the same time, each through a repository of its own.
async fn write_all(folder: &Path, writers: &[(bool, Vec<Act>)]) -> Result<(), TestCaseError> {
    let mut saved: HashMap<&str, HashSet<String>> = HashMap::new();
    for (writer, (_, acts)) in writers.iter().enumerate() {
        for (index, act) in acts.iter().enumerate() {
            if let Act::Save { id, size } = act {
                saved.entry(IDS[*id]).or_default().insert(own_record(writer, index, *id, *size));
            }
        }
    }
    let is_whole = |status: &JobStatus| {
        saved.get(status.id.as_str()).is_some_and(|texts| texts.contains(&pretty(status)))
    };
    let work = writers.iter().enumerate().map(async |(writer, (fsync, acts))| {
        let repository = repository(folder, *fsync);
        for (index, act) in acts.iter().enumerate() {
            match act {
                Act::Save { id, size } => {
                    let record = own_record(writer, index, *id, *size);
                    repository.save(&JobStatus::parse(&record).unwrap()).await.map(|()| true)
                }
                Act::Get { id } => {
                    repository.get(IDS[*id]).await.map(|record| record.iter().all(is_whole))
                }
                Act::List => repository.list().await.map(|records| records.iter().all(is_whole)),
                Act::Delete { id } => repository.delete(IDS[*id]).await.map(|()| true),
            }
            .map_err(|error| TestCaseError::fail(format!("{act:?} of {writer}: {error}")))
            .and_then(|whole| if whole { Ok(()) } else { Err(TestCaseError::fail("torn")) })?;
        }
        Ok::<_, TestCaseError>(())
    });
    join_all(work).await.into_iter().collect::<Result<(), _>>()?;
    for name in names(folder) {
        let text = std::fs::read_to_string(folder.join(&name)).unwrap();
        let texts = name.strip_suffix(".json").and_then(|id| saved.get(id));
        prop_assert!(
            texts.is_some_and(|texts| texts.contains(&text)),
            "{} is torn or a stray",
            name
        );
    }
    Ok(())
}

fn writers(deleting: bool) -> impl Strategy<Value = Vec<(bool, Vec<Act>)>> {
    prop::collection::vec((any::<bool>(), prop::collection::vec(act(deleting), 1..20)), 2..6)
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn writers_of_several_repositories_never_tear_a_record(writers in writers(false)) {
        let folder = tempfile::tempdir().unwrap();
        block_on(write_all(folder.path(), &writers))?;
        let saves = |id| writers.iter().flat_map(|(_, acts)| acts).any(|act| matches!(act, Act::Save { id: saved, .. } if *saved == id));
        let expected: Vec<String> = (0..IDS.len()).filter(|id| saves(*id)).map(|id| format!("{}.json", IDS[id])).collect();
        prop_assert_eq!(names(folder.path()), expected);
    }

    #[test]
    fn writers_and_deleters_of_several_repositories_never_tear_a_record(writers in writers(true)) {
        let folder = tempfile::tempdir().unwrap();
        block_on(write_all(folder.path(), &writers))?;
    }
}
