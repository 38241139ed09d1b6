//! Which chunks run, when, and with what.

use std::time::Duration;

use tokio::time::sleep;

use super::*;

const SKIPPED: &str = "Skipping merge step (no merge mechanism provided).";

#[tokio::test]
async fn lines_of_a_job_are_those_of_the_contract() {
    let scene = Scene::well();
    scene.run(&job(&[7, 3])).await.unwrap();
    let story = [
        "[Worker 1] Starting chunk 7 (Attempt 1/1)...",
        "[Worker 1] Chunk 7 completed (1/2)",
        "[Worker 1] Starting chunk 3 (Attempt 1/1)...",
        "[Worker 1] Chunk 3 completed (2/2)",
        SKIPPED,
    ];
    assert_eq!(scene.lines(), [opening("1", 2), story.map(str::to_owned).to_vec()].concat());
}

#[tokio::test]
async fn job_without_chunks_has_nothing_but_its_opening() {
    let scene = Scene::well();
    scene.run(&spec(&json!({}))).await.unwrap();
    assert_eq!(scene.lines(), [opening("1", 0), vec![SKIPPED.to_owned()]].concat());
}

#[tokio::test]
async fn folder_of_this_process_is_the_default() {
    let mut scene = Scene::well();
    scene.options.job_dir = None;
    scene.run(&job(&[1])).await.unwrap();
    let own = std::env::current_dir().unwrap().to_str().unwrap().to_owned();
    assert_eq!(scene.lines()[1], format!("Job Directory: {own}"));
    assert_eq!(scene.adapter.job(0).cwd, Some(own));
}

#[test]
fn concurrency_is_read_as_javascript_would() {
    for (number, limit, asked) in [
        (0.0, 1, "1"),
        (f64::NAN, 1, "1"),
        (-3.0, 1, "1"),
        (1.0, 1, "1"),
        (4.0, 4, "4"),
        (2.9, 2, "2.9"),
        (1e21, usize::MAX, "1e+21"),
        (f64::INFINITY, usize::MAX, "Infinity"),
    ] {
        let concurrency = Concurrency::from_number(number);
        assert_eq!((concurrency.limit, concurrency.asked.as_str()), (limit, asked), "{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn never_more_chunks_run_at_once_than_asked_for() {
    for (asked, printed, most) in
        [(0.0, "1", 1), (1.0, "1", 1), (2.9, "2.9", 2), (3.0, "3", 3), (50.0, "50", 7)]
    {
        let scene = Scene::new(|call| async move {
            let pause = 1 + call.who.parse::<u64>().unwrap() * 7 % 5;
            sleep(Duration::from_millis(pause)).await;
            ok()
        })
        .concurrent(asked);
        scene.run(&job(&[1, 2, 3, 4, 5, 6, 7])).await.unwrap();
        assert_eq!((scene.adapter.most.get(), scene.adapter.active.get()), (most, 0), "{asked}");
        assert_eq!(scene.lines()[..3], opening(printed, 7));
    }
}

#[tokio::test(start_paused = true)]
async fn chunks_start_in_the_order_of_the_array() {
    for concurrency in [1.0, 2.0, 5.0] {
        let scene = Scene::new(|call| async move {
            sleep(Duration::from_millis(call.who.parse::<u64>().unwrap() * 13 % 7)).await;
            ok()
        })
        .concurrent(concurrency);
        scene.run(&job(&[9, 4, 8, 1, 6, 2])).await.unwrap();
        assert_eq!(scene.adapter.started(), ["9", "4", "8", "1", "6", "2"], "{concurrency}");
    }
}

#[tokio::test(start_paused = true)]
async fn free_worker_takes_the_next_chunk() {
    let scene = Scene::new(|call| async move {
        sleep(Duration::from_millis(if call.who == "1" { 100 } else { 1 })).await;
        ok()
    })
    .concurrent(2.0);
    scene.run(&job(&[1, 2, 3])).await.unwrap();
    let story = [
        "[Worker 1] Starting chunk 1 (Attempt 1/1)...",
        "[Worker 2] Starting chunk 2 (Attempt 1/1)...",
        "[Worker 2] Chunk 2 completed (1/3)",
        "[Worker 2] Starting chunk 3 (Attempt 1/1)...",
        "[Worker 2] Chunk 3 completed (2/3)",
        "[Worker 1] Chunk 1 completed (3/3)",
        SKIPPED,
    ];
    assert_eq!(scene.story(), story);
}

#[tokio::test]
async fn chunks_that_are_done_are_skipped_and_counted() {
    let mut scene = Scene::well();
    scene.options.completed = ids(&[1, 3, 3]);
    scene.run(&job(&[1, 2, 3])).await.unwrap();
    assert_eq!(scene.adapter.started(), ["2"]);
    assert_eq!(scene.lines()[..3], opening("1", 3));
    assert!(scene.story().contains(&"[Worker 1] Chunk 2 completed (3/3)".to_owned()));
}

#[tokio::test]
async fn done_ids_that_are_not_in_the_job_do_not_count() {
    let mut scene = Scene::well();
    scene.options.completed = ids(&[8, 9]);
    scene.run(&job(&[1])).await.unwrap();
    assert!(scene.story().contains(&"[Worker 1] Chunk 1 completed (1/1)".to_owned()));
}

#[tokio::test]
async fn adapter_gets_all_there_is_to_know_of_a_chunk() {
    let mut scene = Scene::well();
    let extensions: Rc<dyn Any> = Rc::new("mine");
    scene.options.kill_grace = Duration::from_millis(7);
    scene.options.job_def_url = Some("s3://job.json".to_owned());
    scene.options.extensions = Some(Rc::clone(&extensions));
    let chunk = json!({ "id": 5, "command": r#"render 'a b' "c"d"# });
    let job = spec(&json!({ "chunks": [{ "id": 4, "command": "x" }, chunk] }));
    scene.run(&job).await.unwrap();
    let got = scene.adapter.job(1);
    assert_eq!((got.command.as_str(), got.args), ("render", vec!["a b".to_owned(), "cd".into()]));
    assert_eq!((got.cwd.as_deref(), got.env, got.timeout), (Some("/jobs/1"), vec![], None));
    assert_eq!(got.kill_grace, Some(Duration::from_millis(7)));
    assert_eq!(got.job_def_url.as_deref(), Some("s3://job.json"));
    assert!(Rc::ptr_eq(&got.extensions.unwrap(), &extensions));
    let chunk = got.chunk.unwrap();
    assert!(Rc::ptr_eq(&chunk.spec, &job));
    assert_eq!((chunk.index, chunk.id), (1, ChunkId::new(5.0)));
}

#[tokio::test]
async fn output_file_is_looked_at_only_when_asked_for() {
    let file = || Some(PathBuf::from("/jobs/1.mp4"));
    let table = [
        (false, VerifyChunks::Never, None),
        (true, VerifyChunks::Never, file()),
        (false, VerifyChunks::Auto, file()),
    ];
    for (recorded, verified, expected) in table {
        let mut scene = Scene::well();
        (scene.options.see_outputs, scene.options.verify_chunks) = (recorded, verified);
        let chunk = json!({ "id": 1, "command": "x", "outputFile": "../1.mp4" });
        scene.run(&spec(&json!({ "chunks": [chunk] }))).await.unwrap();
        assert_eq!(scene.adapter.job(0).output_file, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn jobs_of_one_executor_do_not_meet() {
    let scene = Scene::new(|_| async {
        sleep(Duration::from_millis(5)).await;
        ok()
    });
    let other = Scene { options: scene.options.clone(), ..Scene::with(Rc::clone(&scene.adapter)) };
    let (one, two) = (job(&[1, 2]), job(&[1, 2]));
    let (first, second) = tokio::join!(scene.run(&one), other.run(&two));
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(
        (scene.lines(), scene.adapter.started()),
        (other.lines(), ["1", "1", "2", "2"].map(String::from).to_vec())
    );
}
